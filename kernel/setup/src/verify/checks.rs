//! The checks, in the order in which they run.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use offmodel_support::environment;

use crate::workspace::Workspace;

/// One check.
pub(super) struct Check {
    pub name: &'static str,
    pub runner: Runner,
}

/// How a check runs, and where the number of its tests comes from.
pub(super) enum Runner {
    /// A command without tests.
    Command(Command),
    /// A run of nextest, which writes the counts into [a file](junit_file).
    Nextest(Command),
    /// Test binaries of libtest, which print their counts on a piped standard output.
    Libtest(Command),
    /// A tool is missing: the check is skipped for this reason.
    Missing(&'static str),
}

/// All checks. The quick ones are first.
pub(super) fn all(workspace: &Workspace) -> Vec<Check> {
    let check = |name, runner| Check { name, runner };
    vec![
        check(
            "format",
            Runner::Command(cargo(workspace, "fmt --all --check")),
        ),
        check("spelling", spelling(workspace)),
        check("dependencies", dependencies(workspace)),
        check("lints", lints(workspace)),
        // After the lints, whose build puts its own programs and prelude in place. Tests run
        // programs of other crates, and the prelude.
        check(
            "build",
            Runner::Command(cargo(workspace, "build --locked --workspace")),
        ),
        check("tests", tests(workspace)),
        check("documentation tests", documentation_tests(workspace)),
    ]
}

/// The file in which tests record that they were skipped.
pub(super) fn skipped_tests_file(workspace: &Workspace) -> PathBuf {
    workspace.target().join("skipped-tests.txt")
}

/// The file into which nextest writes its counts, as `.config/nextest.toml` says.
pub(super) fn junit_file(workspace: &Workspace) -> PathBuf {
    workspace.target().join("nextest/default/junit.xml")
}

/// [typos](https://github.com/crate-ci/typos), configured in `_typos.toml`.
fn spelling(workspace: &Workspace) -> Runner {
    match tool("typos") {
        Some(typos) => Runner::Command(workspace.command_of(&typos)),
        None => Runner::Missing("no typos (`.ci/run` or `pip install typos` installs it)"),
    }
}

/// [cargo-deny](https://github.com/EmbarkStudios/cargo-deny), configured in `deny.toml`: licences,
/// duplicates and sources. Its check for security advisories would need a network.
fn dependencies(workspace: &Workspace) -> Runner {
    match tool("cargo-deny") {
        Some(cargo_deny) => {
            let mut command = workspace.command_of(&cargo_deny);
            command.args(["--offline", "--locked", "check"]);
            // Duplicates are warnings; with the graph, each would take a page.
            command.args(["--hide-inclusion-graph", "licenses", "bans", "sources"]);
            Runner::Command(command)
        }
        None => {
            Runner::Missing("no cargo-deny (`.ci/run` or `cargo install cargo-deny` installs it)")
        }
    }
}

/// clippy as the compiler of the workspace's crates in an ordinary build.
///
/// `cargo clippy` checks instead of building, for which Cargo would compile all dependencies again;
/// an ordinary build has them already. The two variables are those that `cargo clippy` sets for its
/// driver.
fn lints(workspace: &Workspace) -> Runner {
    let mut command = cargo(
        workspace,
        "build --locked --workspace --all-targets --keep-going",
    );
    command.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    command.env(
        "CLIPPY_ARGS",
        ["-D", "warnings", ""].join("__CLIPPY_HACKERY__"),
    );
    Runner::Command(command)
}

fn tests(workspace: &Workspace) -> Runner {
    let test_command = |arguments| {
        let mut command = cargo(workspace, arguments);
        command.env(environment::SKIPPED_TESTS, skipped_tests_file(workspace));
        // A snapshot that differs is an error and is not overwritten.
        command.env("INSTA_UPDATE", "no");
        command
    };
    if has_nextest(workspace) {
        return Runner::Nextest(test_command(
            "nextest run --locked --workspace --no-fail-fast",
        ));
    }
    let mut command = test_command("test --locked --workspace --all-targets --no-fail-fast");
    command.stdout(Stdio::piped());
    Runner::Libtest(command)
}

fn documentation_tests(workspace: &Workspace) -> Runner {
    let mut command = cargo(workspace, "test --locked --workspace --doc --no-fail-fast");
    command.stdout(Stdio::piped());
    Runner::Libtest(command)
}

fn has_nextest(workspace: &Workspace) -> bool {
    let mut command = cargo(workspace, "nextest --version");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn cargo(workspace: &Workspace, arguments: &str) -> Command {
    let mut command = workspace.cargo();
    command.args(arguments.split(' '));
    command
}

/// The path of a tool: on the path, or in the folder into which `.ci/run` installs tools.
fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = environment::cache_folder().map(|cache| cache.join("tools/bin"));
    std::env::split_paths(&path)
        .chain(installed)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
