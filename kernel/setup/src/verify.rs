//! `cargo verify`: format, lints and all tests.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::SetupError;
use crate::workspace::Workspace;

/// Runs every check, also after one has failed, and ends with a table of them.
///
/// # Errors
/// The names of the checks that failed.
pub fn run(workspace: &Workspace) -> Result<(), SetupError> {
    let checks = [
        ("format", format(workspace)),
        ("lints", lints(workspace)),
        // After the lints, whose build puts its own programs and prelude in place.
        ("build", build(workspace)),
        ("tests", tests(workspace)),
        ("documentation tests", documentation_tests(workspace)),
    ];
    let mut done = Vec::new();
    for (name, mut command) in checks {
        let start = Instant::now();
        let outcome = workspace.run(&mut command);
        if let Err(error) = &outcome {
            eprintln!("error: {error}");
        }
        done.push(Check {
            name,
            passed: outcome.is_ok(),
            took: start.elapsed(),
        });
    }
    eprint!("{}", table(&done));
    let names: Vec<String> = done
        .iter()
        .filter(|check| !check.passed)
        .map(|check| check.name.to_owned())
        .collect();
    if names.is_empty() {
        Ok(())
    } else {
        Err(SetupError::Checks { names })
    }
}

/// What one check came to.
struct Check {
    name: &'static str,
    passed: bool,
    took: Duration,
}

fn format(workspace: &Workspace) -> Command {
    cargo(workspace, "fmt --all --check")
}

/// clippy as the compiler of our own crates in an ordinary build.
///
/// `cargo clippy` checks instead of building, for which Cargo compiles all dependencies anew; in an
/// ordinary build those are there already. The two variables are what `cargo clippy` itself sets
/// for its driver.
fn lints(workspace: &Workspace) -> Command {
    let mut command = cargo(
        workspace,
        "build --locked --workspace --all-targets --keep-going",
    );
    command.env("RUSTC_WORKSPACE_WRAPPER", "clippy-driver");
    command.env(
        "CLIPPY_ARGS",
        ["-D", "warnings", ""].join("__CLIPPY_HACKERY__"),
    );
    command
}

/// What `cargo demo` builds: tests run programs of other crates, and the prelude.
fn build(workspace: &Workspace) -> Command {
    cargo(workspace, "build --locked --workspace")
}

fn tests(workspace: &Workspace) -> Command {
    let mut command = if has_nextest(workspace) {
        cargo(workspace, "nextest run --locked --workspace --no-fail-fast")
    } else {
        cargo(
            workspace,
            "test --locked --workspace --all-targets --no-fail-fast",
        )
    };
    // A snapshot that differs fails; none is written.
    command.env("INSTA_UPDATE", "no");
    command
}

fn has_nextest(workspace: &Workspace) -> bool {
    let mut command = cargo(workspace, "nextest --version");
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn documentation_tests(workspace: &Workspace) -> Command {
    cargo(workspace, "test --locked --workspace --doc")
}

fn cargo(workspace: &Workspace, arguments: &str) -> Command {
    let mut command = workspace.cargo();
    command.args(arguments.split(' '));
    command
}

fn table(checks: &[Check]) -> String {
    let mut text = String::new();
    for Check { name, passed, took } in checks {
        let outcome = if *passed { "passed" } else { "FAILED" };
        text += &format!(
            "verify: {name:<20} {outcome} in {:.1} s\n",
            took.as_secs_f64()
        );
    }
    let total: Duration = checks.iter().map(|check| check.took).sum();
    text + &format!(
        "verify: {:<20} {:>6} in {:.1} s\n",
        "all",
        "",
        total.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_tell_what_ran_and_how_long_it_took() {
        let checks = [
            Check {
                name: "format",
                passed: true,
                took: Duration::from_millis(1500),
            },
            Check {
                name: "lints",
                passed: false,
                took: Duration::from_millis(2500),
            },
        ];
        assert_eq!(
            table(&checks),
            "verify: format               passed in 1.5 s\n\
             verify: lints                FAILED in 2.5 s\n\
             verify: all                         in 4.0 s\n"
        );
    }
}
