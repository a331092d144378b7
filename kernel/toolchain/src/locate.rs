use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use offmodel_support::environment;

use crate::{interface, sysroot};

/// The parts needed to compile against the prelude and to run the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    /// The sysroot of the Rust toolchain that built this workspace.
    pub sysroot: PathBuf,
    /// The toolchain's compiler, not rustup's proxy, which costs 50 ms a call.
    pub rustc: PathBuf,
    /// The file of the prelude, `liboffmodel.so`.
    pub prelude: PathBuf,
    /// The folder with the metadata of the crates inside the prelude.
    pub dependencies: PathBuf,
    /// The folder with `libtch.so` and libtorch.
    pub libtorch_lib: PathBuf,
    /// The view of `sysroot` without the dynamic standard library, with which cells and programs are
    /// compiled.
    pub cell_sysroot: PathBuf,
    /// The folder of the prelude's interface library, with which cells are linked. None if the
    /// toolchain lacks the tools to create one, as those of some distributions do.
    pub interface: Option<PathBuf>,
}

/// Why the toolchain is incomplete.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolchainError {
    /// The compiler that built offmodel is gone.
    #[error("failed to find the Rust compiler that built offmodel at {}: install that toolchain again, or rebuild with `cargo demo`", path.display())]
    Compiler {
        /// The path at which it was.
        path: PathBuf,
    },
    /// The prelude was not built, or is not beside the program.
    #[error("failed to find liboffmodel.so in {}: build it with `cargo build --workspace`, or set {} to its folder", searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or "), environment::PRELUDE)]
    Prelude {
        /// The folders that were searched.
        searched: Vec<PathBuf>,
    },
    /// Set-up has not recorded a libtorch, or it is gone.
    #[error(
        "failed to find libtorch: {reason}; run `cargo demo` to set it up, or set {} to the folder of libtch.so",
        environment::LIBTORCH
    )]
    Libtorch {
        /// The place that was searched, and what was wrong with it.
        reason: String,
    },
    /// The view of the sysroot or the prelude's interface library could not be created.
    #[error("failed to write the files with which cells are compiled to {}: {source}", path.display())]
    Sysroot {
        /// The folder in which they are created.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The system does not reveal the path of the running program.
    #[error("failed to find the running program's own folder")]
    OwnPath(#[source] std::io::Error),
}

impl Toolchain {
    /// Finds all parts.
    ///
    /// # Errors
    /// When a part is missing; the message says which one and what to do.
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

    /// A compiler call with the edition and the flags of [`rustc_arguments`](Self::rustc_arguments).
    pub fn rustc_command(&self) -> Command {
        self.rustc_with(self.rustc_arguments())
    }

    /// A compiler call for a program that finds prelude and libtorch in the folder `libraries` beside
    /// itself, so that the two can be moved to another machine.
    pub fn portable_rustc_command(&self, libraries: &str) -> Command {
        let mut arguments = self.with_prelude(&self.prelude, &self.libtorch_lib);
        arguments.push(format!("-Clink-arg=-Wl,-rpath,$ORIGIN/{libraries}").into());
        // Written as DT_RPATH, which unlike DT_RUNPATH also applies to the libraries' dependencies.
        arguments.push("-Clink-arg=-Wl,--disable-new-dtags".into());
        self.rustc_with(arguments)
    }

    fn rustc_with(&self, arguments: Vec<OsString>) -> Command {
        let mut command = Command::new(&self.rustc);
        command.args(["--edition", "2024"]).args(arguments);
        // Flags for the user's own builds must not affect cells.
        for variable in ["RUSTFLAGS", "RUSTC_WRAPPER", "CARGO_ENCODED_RUSTFLAGS"] {
            command.env_remove(variable);
        }
        command
    }

    /// A call of rustdoc for a crate that uses the prelude.
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

    /// Identifies this build of the prelude.
    ///
    /// # Errors
    /// When the prelude no longer exists.
    pub fn prelude_version(&self) -> std::io::Result<String> {
        interface::version(&self.prelude)
    }

    /// The compiler arguments that link a program to the prelude.
    ///
    /// Optimisation level 0 keeps compilation fast, and at that level the compiler reuses generic
    /// code that the prelude already contains instead of generating it again.
    pub fn rustc_arguments(&self) -> Vec<OsString> {
        let mut arguments = self.with_prelude(&self.prelude, &self.libtorch_lib);
        for folder in self.library_folders() {
            arguments.push(joined("-Clink-arg=-Wl,-rpath,", folder));
        }
        arguments
    }

    /// The compiler arguments that link a cell, which is a shared library, to the prelude.
    ///
    /// Unlike programs, cells are linked by the toolchain's own linker with the prelude's
    /// [interface library](Self::interface), which saves 0.15 s per cell.
    pub fn cell_arguments(&self) -> Vec<OsString> {
        let Some(interface) = &self.interface else {
            return self.rustc_arguments();
        };
        let library = interface.join(interface::PRELUDE);
        let mut arguments = self.with_prelude(&library, interface);
        let linker = sysroot::tool(&self.cell_sysroot, interface::LINKER);
        arguments.push(joined("-Clinker=", &linker));
        arguments.push("-Clinker-flavor=ld.lld".into());
        // The interface library defines no symbol, so the linker would drop it as not needed.
        arguments.push("-Clink-arg=--no-as-needed".into());
        arguments.push(joined("-Clink-arg=", &library));
        for folder in self.library_folders() {
            arguments.push("-Clink-arg=-rpath".into());
            arguments.push(joined("-Clink-arg=", folder));
        }
        arguments
    }

    /// The arguments that programs and cells have in common. `library` is the prelude or its interface
    /// library, `native` the folder of the C libraries.
    fn with_prelude(&self, library: &Path, native: &Path) -> Vec<OsString> {
        vec![
            "--sysroot".into(),
            self.cell_sysroot.clone().into(),
            "-Copt-level=0".into(),
            // The traceback of a panic names lines of cells.
            "-Cdebuginfo=line-tables-only".into(),
            "--extern".into(),
            joined("offmodel=", library),
            "-L".into(),
            joined("dependency=", &self.dependencies),
            "-L".into(),
            joined("native=", native),
        ]
    }

    /// The value of `LD_LIBRARY_PATH` with which the loader finds prelude and libtorch.
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

/// The folder of the prelude: that of the running program, or its parent for test binaries, which
/// are in `deps`.
fn prelude_folder() -> Result<PathBuf, ToolchainError> {
    let searched = match environment::value(environment::PRELUDE) {
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

/// The library folder that set-up recorded in `.cargo/libtorch.toml`.
fn libtorch_folder() -> Result<PathBuf, ToolchainError> {
    if let Some(folder) = environment::value(environment::LIBTORCH) {
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
        .and_then(|targets| targets.get(sysroot::TARGET))
        .and_then(|target| target.get("tch"))
        .and_then(|tch| tch.get("rustc-link-search"))
        .and_then(|search| search.get(0))
        .and_then(toml::Value::as_str)
        .ok_or_else(|| failure(format!("{} names no library folder", record.display())))?;
    with_shim(PathBuf::from(folder.trim_start_matches("native=")))
}

/// Checks that `folder` holds `libtch.so`, the C shim through which tch calls libtorch.
fn with_shim(folder: PathBuf) -> Result<PathBuf, ToolchainError> {
    if folder.join("libtch.so").is_file() {
        Ok(folder)
    } else {
        Err(ToolchainError::Libtorch {
            reason: format!("no libtch.so in {}", folder.display()),
        })
    }
}
