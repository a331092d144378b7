//! The environment variables and the folder of a session.
//!
//! evcxr reads its settings from environment variables, and the Cargo and rustc that it starts
//! inherit them. A process that has threads must not change its environment, so the program replaces
//! itself (`execve`) by the same program in the right environment, under the same process id.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use offmodel_support::environment;
use offmodel_toolchain::Toolchain;
use offmodel_toolchain::extra_crates::ExtraCrates;
use offmodel_toolchain::wrapper;
use rustix::process::{Signal, set_parent_process_death_signal};

use crate::errors::SessionError;

/// evcxr's variable for the folder in which it writes and builds code.
const EVCXR_FOLDER: &str = "EVCXR_TMPDIR";
const FOLDER_PREFIX: &str = "offmodel-session-";
/// In the session's folder: the compiler's arguments for crates added by `:dep`.
const EXTRA_CRATES_FILE: &str = "further-crates";
/// In the session's folder: a file that the session keeps locked.
const LOCK_FILE: &str = "lock";
/// The age from which a folder without a lock file counts as left behind; a younger one may belong
/// to a session that is starting.
const MAX_START_TIME: Duration = Duration::from_secs(60);
/// In the session's folder: the sources of an empty standard library. evcxr contains rust-analyzer,
/// which would read the sources of the real one before the first cell (3 s and 1 GB) and have rustup
/// download them if they are not installed. The session does not need them: it gets types from the
/// compiler.
const EMPTY_STD_SOURCES: &str = "no-standard-library";

/// Turns this process into evcxr's child or rustc's wrapper if it was started as one; returns
/// otherwise.
///
/// Call this first in the `main` of a program that uses [`Session`](crate::Session), because the
/// session starts its own program again in both roles.
pub fn child_process_hook() {
    if is_session() {
        return;
    }
    if std::env::var_os(environment::EVENTS_FD).is_some() {
        // Let the system kill this child when the kernel dies: a killed kernel cannot, and the child
        // would keep its GPU memory. An error costs no more than that.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
    evcxr::runtime_hook();
    wrapper::hook();
}

/// Replaces this process by the same program, with the same arguments and process id, in the
/// environment that a session needs. Returns if it is in that environment already.
///
/// Call this in `main` after [`child_process_hook`]. It also returns if the environment cannot be
/// created; then [`Session::start`](crate::Session::start) returns the reason.
pub fn enter_session_environment() {
    if is_session() {
        return;
    }
    let (Ok(toolchain), Ok(program)) = (Toolchain::locate(), std::env::current_exe()) else {
        return;
    };
    remove_folders_of_ended_sessions(&std::env::temp_dir());
    let Ok(folder) = create_folder() else {
        return;
    };
    // `exec` returns only if it fails.
    let _error = Command::new(&program)
        .args(std::env::args_os().skip(1))
        .envs(variables(&toolchain, &folder, program.into()))
        .exec();
    let _ = fs::remove_dir_all(folder);
}

/// The environment that this process has entered.
#[derive(Debug)]
pub(crate) struct Environment {
    pub toolchain: Toolchain,
    /// The folder for generated and compiled code; it is removed when this value is dropped.
    pub folder: PathBuf,
    /// Locked until the process ends, which marks the folder as in use.
    _lock: File,
}

impl Environment {
    /// The environment that [`enter_session_environment`] has created.
    ///
    /// # Errors
    /// When this process has not entered one.
    pub(crate) fn current() -> Result<Self, SessionError> {
        let toolchain = Toolchain::locate()?;
        let folder = std::env::var_os(EVCXR_FOLDER).filter(|_| is_session());
        let folder = match folder {
            Some(folder) => PathBuf::from(folder),
            // Either `main` did not call `enter_session_environment`, or that could not create the
            // folder. Trying it again shows which, and returns the error.
            None => {
                let folder = create_folder().map_err(SessionError::Folder)?;
                let _ = fs::remove_dir_all(folder);
                return Err(SessionError::Environment);
            }
        };
        let prepare = || {
            fs::create_dir_all(folder.join(EMPTY_STD_SOURCES).join("core"))?;
            // Lock first, rename second: an unlocked file under the final name means a dead session
            // whose folder may be removed.
            let unlocked = folder.join("unlocked");
            let lock = File::create(&unlocked)?;
            lock.lock()?;
            fs::rename(unlocked, folder.join(LOCK_FILE))?;
            Ok(lock)
        };
        let lock = prepare().map_err(SessionError::Folder)?;
        Ok(Self {
            toolchain,
            folder,
            _lock: lock,
        })
    }

    /// The compiler's arguments for the crates added by `:dep`.
    pub(crate) fn extra_crate_arguments(&self) -> Vec<OsString> {
        wrapper::read_arguments(&self.folder.join(EXTRA_CRATES_FILE))
    }

    /// Lets all later cells use these crates. Returns whether cells link one shared library of them.
    pub(crate) fn use_extra_crates(&self, crates: &ExtraCrates) -> std::io::Result<bool> {
        let shared = self.toolchain.shared_library_arguments(crates)?;
        let arguments = shared.as_deref().unwrap_or(crates.arguments());
        wrapper::write_arguments(&self.folder.join(EXTRA_CRATES_FILE), arguments)?;
        Ok(shared.is_some())
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // A later session removes whatever could not be removed.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether [`enter_session_environment`] has created the environment of this very process. Children
/// inherit the variable, but have another process id.
fn is_session() -> bool {
    std::env::var(environment::SESSION_PROCESS).is_ok_and(|id| id == std::process::id().to_string())
}

fn variables(
    toolchain: &Toolchain,
    folder: &Path,
    program: OsString,
) -> [(&'static str, OsString); 9] {
    let mut path = toolchain.sysroot.join("bin").into_os_string();
    if let Some(inherited) = std::env::var_os("PATH") {
        path.push(":");
        path.push(inherited);
    }
    [
        (
            environment::SESSION_PROCESS,
            std::process::id().to_string().into(),
        ),
        (EVCXR_FOLDER, folder.into()),
        ("RUST_SRC_PATH", folder.join(EMPTY_STD_SOURCES).into()),
        // Keeps evcxr from the user's own settings, such as a prelude of theirs.
        ("EVCXR_CONFIG_DIR", folder.join("configuration").into()),
        // Finds Cargo and rustc themselves before rustup's proxies, which cost 50 ms a call.
        ("PATH", path),
        ("RUSTC_WRAPPER", program),
        (environment::RUSTC_WRAPPER, "1".into()),
        (
            environment::EXTRA_CRATES,
            folder.join(EXTRA_CRATES_FILE).into(),
        ),
        ("LD_LIBRARY_PATH", toolchain.library_path()),
    ]
}

fn create_folder() -> std::io::Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir()?;
    Ok(folder.keep())
}

/// Removes the folders of sessions that were killed and could not do it themselves.
///
/// A lock shows that a session is alive also to other containers that share the folder for temporary
/// files. A process id would not: containers number their processes separately.
fn remove_folders_of_ended_sessions(temporary: &Path) {
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(FOLDER_PREFIX.as_bytes())
            && has_ended(&entry.path())
        {
            // Fails for the folder of another user, which then stays.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn has_ended(folder: &Path) -> bool {
    match File::open(folder.join(LOCK_FILE)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => fs::metadata(folder)
            .and_then(|state| state.modified())
            .is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > MAX_START_TIME)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_ended_sessions_are_removed_and_those_of_others_left() {
        let temporary = tempfile::tempdir().unwrap();
        let session = |name: &str| {
            let folder = temporary.path().join(format!("{FOLDER_PREFIX}{name}"));
            fs::create_dir(&folder).unwrap();
            (File::create(folder.join(LOCK_FILE)).unwrap(), folder)
        };
        let (lock, alive) = session("alive");
        lock.lock().unwrap();
        let (_, ended) = session("ended");
        let starting = temporary.path().join(format!("{FOLDER_PREFIX}starting"));
        fs::create_dir(&starting).unwrap();
        let foreign = temporary.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        remove_folders_of_ended_sessions(temporary.path());
        assert!(alive.exists() && starting.exists() && foreign.exists() && !ended.exists());
    }
}
