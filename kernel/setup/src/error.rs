use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use crate::cache::STAGING;

/// Why set-up stopped. Each message is one sentence with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The machine is not one that the pinned libtorch runs on.
    #[error("failed to set up on {found}: offmodel needs Linux on x86_64")]
    Platform {
        /// Operating system and architecture.
        found: String,
    },
    /// No folder for the cache is known.
    #[error(
        "failed to find a cache folder: set HOME, or OFFMODEL_CACHE to a folder that may be written"
    )]
    NoCacheFolder,
    /// No folder for the kernelspec is known.
    #[error("failed to find Jupyter's data folder: set HOME or JUPYTER_DATA_DIR")]
    NoJupyterFolder,
    /// There is no Python.
    #[error(
        "failed to fetch {what}: no `{python}` on the path; install Python 3 with pip (Debian, Ubuntu: `apt-get install python3 python3-pip`) and run this again"
    )]
    NoPython {
        /// What was to be fetched.
        what: String,
        /// The interpreter that was looked for.
        python: String,
    },
    /// Python has no pip.
    #[error(
        "failed to fetch {what}: `{python} -m pip` does not exist; install pip (Debian, Ubuntu: `apt-get install python3-pip`) and run this again"
    )]
    NoPip {
        /// What was to be fetched.
        what: String,
        /// The interpreter without pip.
        python: String,
    },
    /// The package index or the crate registry was out of reach.
    #[error(
        "failed to fetch {what}: the network or the package index is out of reach ({detail}); check the connection, proxy and certificate settings and run this again"
    )]
    Network {
        /// What was to be fetched.
        what: String,
        /// The downloader's own words.
        detail: String,
    },
    /// The index answered, but does not have the package.
    #[error(
        "failed to fetch {what}: the package index that pip is configured with does not offer it; configure one that mirrors PyPI and run this again"
    )]
    NotOffered {
        /// What was to be fetched.
        what: String,
    },
    /// The downloader failed for another reason.
    #[error("failed to fetch {what}: {detail}")]
    Fetch {
        /// What was to be fetched.
        what: String,
        /// The downloader's own words.
        detail: String,
    },
    /// There is no room.
    #[error("failed to write {}: the disk is full; free some room there (libtorch takes 1.5 GB while it is fetched, the default model 0.2 GB), or set OFFMODEL_CACHE to a folder on a larger disk, and run this again", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
    },
    /// A folder cannot be written.
    #[error("failed to write {}: {reason}; make that folder writable, or set {variable} to one that is", path.display())]
    NotWritable {
        /// The folder or file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
        /// The environment variable that chooses another place.
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
    /// A file is not the one that was pinned.
    #[error(
        "failed to check {what}: its SHA-256 is {found}, expected {expected}; nothing was installed, so run this again, and if it repeats, the package index serves a different file"
    )]
    Checksum {
        /// The file.
        what: String,
        /// The pinned digest.
        expected: String,
        /// The digest of what arrived.
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
    /// `LIBTORCH` names something else than libtorch 2.11.
    #[error("failed to use LIBTORCH={}: {detail}; point LIBTORCH to libtorch {expected}, or unset it to let set-up find or fetch one", path.display())]
    Libtorch {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
        /// The version that is needed.
        expected: &'static str,
    },
    /// There is no C++ compiler.
    #[error(
        "failed to compile libtch.so: no C++ compiler `{compiler}` on the path; install g++ (Debian, Ubuntu: `apt-get install g++`) or set CXX, and run this again"
    )]
    NoCompiler {
        /// The compiler that was looked for.
        compiler: String,
    },
    /// The C++ compiler or linker rejected the shim.
    #[error("failed to compile libtch.so with `{compiler}`: {detail}")]
    Compile {
        /// The compiler.
        compiler: String,
        /// The first line of its complaint.
        detail: String,
    },
    /// The sources of the shim are not where they should be.
    #[error("failed to find the sources of libtch.so: {detail}")]
    ShimSources {
        /// What was looked at.
        detail: String,
    },
    /// A command of the demo or of the checks failed.
    #[error("`{command}` failed ({status})")]
    Step {
        /// The command as typed.
        command: String,
        /// Its exit status.
        status: String,
    },
    /// Some checks failed.
    #[error("failed: {}", names.join(", "))]
    Checks {
        /// The names of the failed checks.
        names: Vec<String>,
    },
    /// Anything else that the system refused.
    #[error("failed to {action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: Error,
    },
}

impl SetupError {
    /// Sorts a refused write into what the user can do about it.
    ///
    /// `variable` is the environment variable that moves `path` elsewhere.
    pub fn writing(path: &Path, source: Error, variable: &'static str) -> Self {
        let path = settled(path);
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

    /// No room for `path`.
    pub fn disk_full(path: &Path) -> Self {
        Self::DiskFull {
            path: settled(path),
        }
    }

    /// A refused read.
    pub fn reading(path: &Path, source: Error) -> Self {
        Self::Io {
            action: "read",
            path: path.to_path_buf(),
            source,
        }
    }
}

/// A path as the user knows it: what lies in a temporary folder counts as the folder around it.
fn settled(path: &Path) -> PathBuf {
    let in_staging = |path: &&Path| {
        path.components()
            .any(|part| part.as_os_str().to_string_lossy().starts_with(STAGING))
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
