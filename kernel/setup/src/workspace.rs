//! The checkout, and the commands that are run in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::SetupError;

/// The one platform that the pinned libtorch is for.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The checkout of offmodel.
#[derive(Debug, Clone)]
pub struct Workspace {
    root: PathBuf,
    programs: PathBuf,
}

impl Workspace {
    /// The checkout from which the running program was built, with the folder it lies in.
    pub fn of_this_build() -> Self {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest.ancestors().nth(2).unwrap_or(manifest);
        let programs = std::env::current_exe()
            .ok()
            .and_then(|program| program.parent().map(Path::to_path_buf))
            .unwrap_or_else(|| root.join("target/debug"));
        Self::at(root, &programs)
    }

    /// A checkout whose programs are built into `programs`.
    pub fn at(root: &Path, programs: &Path) -> Self {
        Self {
            root: root.to_path_buf(),
            programs: programs.to_path_buf(),
        }
    }

    /// The top folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of one of our programs, built or not.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A call of one of our programs, in the top folder.
    pub fn command(&self, program: &str) -> Command {
        self.clean(&self.program(program))
    }

    /// A call of Cargo, in the top folder.
    pub fn cargo(&self) -> Command {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = self.clean(Path::new(&cargo));
        // They would replace the flags in `.cargo/libtorch.toml` that let programs find libtorch.
        command
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }

    /// Builds every crate, with Cargo's own progress display.
    ///
    /// # Errors
    /// When a crate does not compile.
    pub fn build(&self) -> Result<(), SetupError> {
        self.run(self.cargo().args(["build", "--locked", "--workspace"]))
    }

    /// Runs a command in view of the user.
    ///
    /// # Errors
    /// When it cannot be started or fails.
    pub fn run(&self, command: &mut Command) -> Result<(), SetupError> {
        let typed = self.typed(command);
        eprintln!("$ {typed}");
        let status = command.status().map_err(|source| SetupError::Io {
            action: "start",
            path: command.get_program().into(),
            source,
        })?;
        if status.success() {
            return Ok(());
        }
        Err(SetupError::Step {
            command: typed,
            status: status.to_string(),
        })
    }

    /// The command as one would type it in the top folder.
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

    /// A command without what `cargo run` put into our environment: it describes this crate, and
    /// its library path would hide a program that cannot find libtorch by itself.
    fn clean(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let of_cargo = [
                "CARGO_PKG_",
                "CARGO_MANIFEST_",
                "CARGO_BIN_",
                "CARGO_CRATE_",
            ];
            if of_cargo
                .iter()
                .any(|prefix| name.to_string_lossy().starts_with(prefix))
            {
                command.env_remove(name);
            }
        }
        if let Some(path) = std::env::var_os("LD_LIBRARY_PATH") {
            let kept = std::env::split_paths(&path).filter(|folder| !self.is_of_cargo(folder));
            match std::env::join_paths(kept) {
                Ok(path) if !path.is_empty() => command.env("LD_LIBRARY_PATH", path),
                _ => command.env_remove("LD_LIBRARY_PATH"),
            };
        }
        command
    }

    fn is_of_cargo(&self, folder: &Path) -> bool {
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
    fn a_failed_command_is_named_as_it_would_be_typed() {
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
    fn this_build_lies_in_a_checkout() {
        let workspace = Workspace::of_this_build();
        assert!(workspace.root().join("Cargo.lock").is_file());
    }
}
