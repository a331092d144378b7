use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{interface, sysroot};

/// The folder that holds `liboffmodel.so`, if it is not beside the running program.
const PRELUDE_VARIABLE: &str = "OFFMODEL_PRELUDE";
/// The folder that holds `libtch.so`, if it is not the one that set-up recorded.
const LIBTORCH_VARIABLE: &str = "OFFMODEL_LIBTORCH";

/// Everything needed to compile against the prelude and to run the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// The folder of the Rust toolchain that built this workspace.
    pub sysroot: PathBuf,
    /// Its compiler itself, not rustup's proxy.
    pub rustc: PathBuf,
    /// The prelude, `liboffmodel.so`.
    pub prelude: PathBuf,
    /// The folder with the metadata of the crates inside the prelude.
    pub dependencies: PathBuf,
    /// The folder with `libtch.so` and libtorch.
    pub libtorch_lib: PathBuf,
    /// The view of the compiler's libraries that cells are compiled with.
    pub cell_sysroot: PathBuf,
    /// The folder of the prelude's interface library, which cells are linked with; absent where
    /// the toolchain comes without the tools to make one, as some distributions' do.
    pub interface: Option<PathBuf>,
}

/// A part that is not where it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolchainError {
    /// The compiler that built offmodel is gone.
    #[error("failed to find the Rust compiler that built offmodel at {}: install that toolchain again, or rebuild with `cargo demo`", path.display())]
    Compiler {
        /// Where it was.
        path: PathBuf,
    },
    /// The prelude was not built or is not beside the program.
    #[error("failed to find liboffmodel.so in {}: build it with `cargo build --workspace`, or set {PRELUDE_VARIABLE} to its folder", searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or "))]
    Prelude {
        /// Where it was looked for.
        searched: Vec<PathBuf>,
    },
    /// Set-up has not recorded a libtorch, or it is gone.
    #[error(
        "failed to find libtorch: {reason}; run `cargo demo` to set it up, or set {LIBTORCH_VARIABLE} to the folder of libtch.so"
    )]
    Libtorch {
        /// What was looked at and what was wrong.
        reason: String,
    },
    /// What cells are compiled with could not be made: the view of the compiler's libraries, or
    /// the prelude's interface library.
    #[error("failed to write what cells are compiled with into {}: {source}", path.display())]
    Sysroot {
        /// The folder it was to be made in.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The running program's own path is unknown.
    #[error("failed to find the running program's own folder")]
    OwnPath(#[source] std::io::Error),
}

impl Toolchain {
    /// Finds all parts.
    ///
    /// # Errors
    /// When one is missing; the message says which and what to do.
    pub fn locate() -> Result<Self, ToolchainError> {
        let sysroot = PathBuf::from(env!("OFFMODEL_SYSROOT"));
        let rustc = sysroot.join("bin").join("rustc");
        if !rustc.is_file() {
            return Err(ToolchainError::Compiler { path: rustc });
        }
        let folder = prelude_folder()?;
        let failure = |source| ToolchainError::Sysroot {
            path: folder.clone(),
            source,
        };
        let cell_sysroot = sysroot::without_dynamic_std(&sysroot, &folder).map_err(failure)?;
        let interface = interface::of_prelude(&folder, &sysroot).map_err(failure)?;
        Ok(Self {
            sysroot,
            cell_sysroot,
            interface,
            rustc,
            prelude: folder.join(interface::PRELUDE),
            dependencies: folder.join("deps"),
            libtorch_lib: libtorch_folder()?,
        })
    }

    /// A call of the compiler with everything in place to compile against the prelude: edition,
    /// prelude, search paths, run-time paths, no optimisation.
    pub fn rustc_command(&self) -> Command {
        self.rustc_with(self.rustc_arguments())
    }

    /// The same for a program that finds prelude and libtorch in a folder beside itself, wherever
    /// it is carried.
    pub fn portable_rustc_command(&self, libraries: &str) -> Command {
        let mut arguments = self.with_prelude(&self.prelude, &self.libtorch_lib);
        arguments.push(format!("-Clink-arg=-Wl,-rpath,$ORIGIN/{libraries}").into());
        // As DT_RPATH, which also holds for what the libraries need in turn.
        arguments.push("-Clink-arg=-Wl,--disable-new-dtags".into());
        self.rustc_with(arguments)
    }

    fn rustc_with(&self, arguments: Vec<OsString>) -> Command {
        let mut command = Command::new(&self.rustc);
        command.args(["--edition", "2024"]).args(arguments);
        // Flags meant for the user's own builds must not reach cells.
        for variable in ["RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_ENCODED_RUSTFLAGS"] {
            command.env_remove(variable);
        }
        command
    }

    /// A call of rustdoc on a crate that uses the prelude.
    pub fn rustdoc_command(&self) -> Command {
        let mut command = Command::new(self.sysroot.join("bin").join("rustdoc"));
        command
            .args(["--edition", "2024"])
            .args(self.with_prelude(&self.prelude, &self.libtorch_lib));
        for variable in ["RUSTDOCFLAGS", "RUSTC_WRAPPER"] {
            command.env_remove(variable);
        }
        command
    }

    /// A name for this build of the prelude.
    ///
    /// # Errors
    /// When the prelude is not there any more.
    pub fn prelude_version(&self) -> std::io::Result<String> {
        interface::version(&self.prelude)
    }

    /// The arguments that join a program to the prelude.
    ///
    /// Optimisation level 0 is what keeps cells fast to compile, and at that level the compiler
    /// shares the generic code already inside the prelude instead of generating it anew.
    pub fn rustc_arguments(&self) -> Vec<OsString> {
        let mut arguments = self.with_prelude(&self.prelude, &self.libtorch_lib);
        for folder in self.library_folders() {
            arguments.push(joined("-Clink-arg=-Wl,-rpath,", folder));
        }
        arguments
    }

    /// The arguments that join a cell, a shared library, to the prelude: the same, but linked by
    /// the toolchain's own linker with the prelude's [interface](Self::interface) only, which
    /// saves 0.15 s.
    pub fn cell_arguments(&self) -> Vec<OsString> {
        let Some(interface) = &self.interface else {
            return self.rustc_arguments();
        };
        let library = interface.join(interface::PRELUDE);
        let mut arguments = self.with_prelude(&library, interface);
        let linker = self
            .cell_sysroot
            .join(sysroot::TOOLS)
            .join(interface::LINKER);
        arguments.push(joined("-Clinker=", &linker));
        arguments.push("-Clinker-flavor=ld.lld".into());
        // The interface defines no symbol, so the linker would leave it out as not needed.
        arguments.push("-Clink-arg=--no-as-needed".into());
        arguments.push(joined("-Clink-arg=", &library));
        for folder in self.library_folders() {
            arguments.push("-Clink-arg=-rpath".into());
            arguments.push(joined("-Clink-arg=", folder));
        }
        arguments
    }

    /// What programs and cells have in common: `library` is the prelude or stands for it,
    /// `native` the folder of the C libraries.
    fn with_prelude(&self, library: &Path, native: &Path) -> Vec<OsString> {
        vec![
            "--sysroot".into(),
            self.cell_sysroot.clone().into(),
            "-Copt-level=0".into(),
            // So that a panic can tell through which lines of cells it went.
            "-Cdebuginfo=line-tables-only".into(),
            "--extern".into(),
            joined("offmodel=", library),
            "-L".into(),
            joined("dependency=", &self.dependencies),
            "-L".into(),
            joined("native=", native),
        ]
    }

    /// The value of `LD_LIBRARY_PATH` with which prelude and libtorch are found.
    pub fn library_path(&self) -> OsString {
        let folders = self.library_folders();
        std::env::join_paths(folders).unwrap_or_else(|_| folders[0].as_os_str().to_owned())
    }

    fn library_folders(&self) -> [&Path; 2] {
        [
            self.prelude.parent().unwrap_or(Path::new("/")),
            &self.libtorch_lib,
        ]
    }
}

fn joined(prefix: &str, path: &Path) -> OsString {
    let mut text = OsString::from(prefix);
    text.push(path);
    text
}

/// The folder of the prelude: beside the program, or above it for test binaries in `deps`.
fn prelude_folder() -> Result<PathBuf, ToolchainError> {
    let searched = match std::env::var_os(PRELUDE_VARIABLE) {
        Some(folder) => vec![PathBuf::from(folder)],
        None => {
            let program = std::env::current_exe().map_err(ToolchainError::OwnPath)?;
            program
                .ancestors()
                .skip(1)
                .take(2)
                .map(Path::to_path_buf)
                .collect()
        }
    };
    searched
        .iter()
        .find(|folder| folder.join(interface::PRELUDE).is_file() && folder.join("deps").is_dir())
        .cloned()
        .ok_or(ToolchainError::Prelude { searched })
}

/// The library folder that set-up wrote into `.cargo/libtorch.toml`.
fn libtorch_folder() -> Result<PathBuf, ToolchainError> {
    if let Some(folder) = std::env::var_os(LIBTORCH_VARIABLE) {
        return with_shim(PathBuf::from(folder));
    }
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cargo/libtorch.toml");
    let failure = |reason: String| ToolchainError::Libtorch { reason };
    let text = std::fs::read_to_string(&record)
        .map_err(|error| failure(format!("cannot read {}: {error}", record.display())))?;
    let table: toml::Table = text
        .parse()
        .map_err(|error| failure(format!("{} is not TOML: {error}", record.display())))?;
    let folder = table
        .get("target")
        .and_then(|targets| targets.get(TARGET))
        .and_then(|target| target.get("tch"))
        .and_then(|tch| tch.get("rustc-link-search"))
        .and_then(|search| search.get(0))
        .and_then(toml::Value::as_str)
        .ok_or_else(|| failure(format!("{} names no library folder", record.display())))?;
    with_shim(PathBuf::from(folder.trim_start_matches("native=")))
}

const TARGET: &str = "x86_64-unknown-linux-gnu";

fn with_shim(folder: PathBuf) -> Result<PathBuf, ToolchainError> {
    if folder.join("libtch.so").is_file() {
        Ok(folder)
    } else {
        Err(ToolchainError::Libtorch {
            reason: format!("no libtch.so in {}", folder.display()),
        })
    }
}
