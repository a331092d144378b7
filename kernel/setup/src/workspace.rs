//! The checkout, and the commands that run in it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::SetupError;

/// The platform of the pinned libtorch.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The checkout of offmodel.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    programs: PathBuf,
}

impl Workspace {
    /// The checkout from which the running program was built. Its programs are beside the running one.
    pub fn of_this_build() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.ancestors().nth(2).unwrap_or(manifest);
        let programs = std::env::current_exe()
            .ok()
            .and_then(|program| program.parent().map(Path::to_path_buf))
            .unwrap_or_else(|| root.join("target/debug"));
        Self::at(root, &programs)
    }

    /// The checkout at `root`, whose programs are built into `programs`.
    pub fn at(root: &Path, programs: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            programs: programs.to_path_buf(),
        }
    }

    /// The path of the checkout.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a program of the workspace, whether it is built or not.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A command that runs a program of the workspace in the checkout.
    pub fn command(&self, program: &str) -> Command {
        self.without_cargo_variables(&self.program(program))
    }

    /// A command that runs a tool in the checkout.
    pub fn command_of(&self, tool: &Path) -> Command {
        self.without_cargo_variables(tool)
    }

    /// A command that runs Cargo in the checkout.
    pub fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = self.without_cargo_variables(Path::new(&cargo));
        // These variables take precedence over the flags in `.cargo/libtorch.toml`, without which
        // programs do not find libtorch.
        command
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }

    /// Builds every crate, with Cargo's progress display.
    ///
    /// # Errors
    /// When a crate does not compile.
    pub fn build(&self) -> Result<(), SetupError> {
        self.run(self.cargo().args(["build", "--locked", "--workspace"]))
    }

    /// The folder that Cargo builds into.
    pub fn target(&self) -> &Path {
        self.programs.parent().unwrap_or(&self.programs)
    }

    /// Prints a command and runs it with its output in view of the user.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub fn run(&self, command: &mut Command) -> Result<(), SetupError> {
        self.run_reading(command.stdout(Stdio::inherit()), |_| {})
    }

    /// Prints a command, runs it, and passes each line of a piped standard output on to the user
    /// and to `read_line`.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub fn run_reading(
        &self,
        command: &mut Command,
        mut read_line: impl FnMut(&str),
    ) -> Result<(), SetupError> {
        let typed = self.typed(command);
        eprintln!("$ {typed}");
        let program = PathBuf::from(command.get_program());
        let start_error = |source| SetupError::Io {
            action: "start",
            path: program.clone(),
            source,
        };
        let mut child = command.spawn().map_err(start_error)?;
        if let Some(output) = child.stdout.take() {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                read_line(&line);
            }
        }
        let status = child.wait().map_err(start_error)?;
        if status.success() {
            return Ok(());
        }
        Err(SetupError::Step {
            command: typed,
            status: status.to_string(),
        })
    }

    /// The command as a user would type it in the checkout.
    fn typed(&self, command: &Command) -> String {
        let program = Path::new(command.get_program());
        let shown = program
            .strip_prefix(&self.root)
            .ok()
            .or(program.file_name().map(Path::new));
        let mut words = vec![shown.unwrap_or(program).display().to_string()];
        words.extend(
            command
                .get_args()
                .map(|word| word.to_string_lossy().into_owned()),
        );
        words.join(" ")
    }

    /// A command without the variables that `cargo run` set for this process: they describe this
    /// crate, and the library path would hide that a program cannot find libtorch by itself.
    fn without_cargo_variables(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let prefixes = [
                "CARGO_PKG_",
                "CARGO_MANIFEST_",
                "CARGO_BIN_",
                "CARGO_CRATE_",
            ];
            if prefixes
                .iter()
                .any(|prefix| name.to_string_lossy().starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
            let kept = std::env::split_paths(&path).filter(|folder| !self.is_set_by_cargo(folder));
            match std::env::join_paths(kept) {
                Ok(path) if !path.is_empty() => command.env("LD_LIBRARY_PATH", path),
                _ => command.env_remove("LD_LIBRARY_PATH"),
            };
        }
        command
    }

    /// Returns whether `cargo run` put this folder on the library path.
    fn is_set_by_cargo(&self, folder: &Path) -> bool {
        folder.starts_with(&self.programs)
            || folder
                .components()
                .any(|part| part.as_os_str() == "rustlib" || part.as_os_str() == "toolchains")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_command_is_named_as_a_user_would_type_it() {
        let workspace = Workspace::at(Path::new("/"), Path::new("/bin"));
        assert!(workspace.run(&mut workspace.command("true")).is_ok());
        let error = workspace
            .run(workspace.command("sh").args(["-c", "exit 3"]))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "`bin/sh -c exit 3` failed (exit status: 3)"
        );
        let error = workspace
            .run(&mut workspace.command("no-such-program"))
            .unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("failed to start /bin/no-such-program: "),
            "{error}"
        );
    }

    #[test]
    fn this_build_belongs_to_a_checkout() {
        let workspace = Workspace::of_this_build();
        assert!(workspace.root().join("Cargo.lock").is_file());
    }
}
