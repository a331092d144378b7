//! The environment variables and the folder that a session works with.
//!
//! evcxr reads its settings from the environment, and the Cargo and rustc that it starts inherit
//! it. Changing the environment of a running process is not safe once it has threads; so the
//! program starts itself again in the right one, under the same process id.

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

use crate::SessionError;

/// The id of the process that the environment was made for: its children inherit the variable,
/// but are no sessions.
const PROCESS_VARIABLE: &str = "OFFMODEL_SESSION_PROCESS";
/// Where evcxr writes and builds its code.
const FOLDER_VARIABLE: &str = "EVCXR_TMPDIR";
const FOLDER_PREFIX: &str = "offmodel-session-";
/// In the folder: the compiler's arguments for crates beyond the prelude.
const FURTHER_CRATES: &str = "further-crates";
/// In the folder: a file that its session keeps locked.
const LOCK: &str = "lock";
/// A folder without a lock file may be one of a session that is just starting.
const STARTING: Duration = Duration::from_secs(60);
/// In the folder: sources of a standard library that has none. evcxr's rust-analyzer would read
/// all of the real one before the first cell, 3 s and 1 GB, and have rustup fetch it where it is
/// not installed; but no question of ours needs it: types come from the compiler.
const NO_SOURCES: &str = "no-standard-library";

/// Becomes evcxr's child or rustc's wrapper if this process was started as one; returns
/// otherwise.
///
/// To be called first in `main` of any program that uses [`Session`](crate::Session): the
/// session starts its own program again in both roles.
pub fn child_process_hook() {
    if is_session() {
        return;
    }
    if std::env::var_os(environment::EVENTS_FD).is_some() {
        // A kernel that is killed cannot end its child, which would keep its GPU. If the system
        // refuses, only that is lost.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
    }
    evcxr::runtime_hook();
    wrapper::hook();
}

/// Starts this program again, with the same arguments and process id, in the environment that a
/// session needs; returns where it is in that environment already.
///
/// To be called in `main` after [`child_process_hook`]. Returns too when the environment cannot
/// be made; [`Session::start`](crate::Session::start) then tells why.
pub fn enter_session_environment() {
    if is_session() {
        return;
    }
    let (Ok(toolchain), Ok(program)) = (Toolchain::locate(), std::env::current_exe()) else {
        return;
    };
    remove_folders_of_ended_sessions(&std::env::temp_dir());
    let Ok(folder) = make_folder() else { return };
    // Returns only if the program could not be started.
    let _error = Command::new(&program)
        .args(std::env::args_os().skip(1))
        .envs(variables(&toolchain, &folder, program.into()))
        .exec();
    let _ = fs::remove_dir_all(folder);
}

/// The environment of this process, once entered.
#[derive(Debug)]
pub(crate) struct Environment {
    pub toolchain: Toolchain,
    /// Holds all code that is generated and compiled; removed with this value.
    pub folder: PathBuf,
    /// Locked as long as the session lives.
    _lock: File,
}

impl Environment {
    /// What [`enter_session_environment`] made.
    pub fn current() -> Result<Self, SessionError> {
        let toolchain = Toolchain::locate()?;
        let folder = std::env::var_os(FOLDER_VARIABLE).filter(|_| is_session());
        let folder = match folder {
            Some(folder) => PathBuf::from(folder),
            // It was not entered, or could not be: making the folder tells which.
            None => {
                let folder = make_folder().map_err(SessionError::Folder)?;
                let _ = fs::remove_dir_all(folder);
                return Err(SessionError::Environment);
            }
        };
        let prepare = || {
            fs::create_dir_all(folder.join(NO_SOURCES).join("core"))?;
            // It gets its name when it is locked: without a lock it would tell of a dead session.
            let unnamed = folder.join("unlocked");
            let lock = File::create(&unnamed)?;
            lock.lock()?;
            fs::rename(unnamed, folder.join(LOCK))?;
            Ok(lock)
        };
        let lock = prepare().map_err(SessionError::Folder)?;
        Ok(Self {
            toolchain,
            folder,
            _lock: lock,
        })
    }
}

impl Environment {
    /// The compiler's arguments for the crates that `:dep` asked for.
    pub fn further_arguments(&self) -> Vec<OsString> {
        wrapper::read_arguments(&self.folder.join(FURTHER_CRATES))
    }

    /// Compiles cells with these further crates from now on; true if all cells share one library
    /// of them.
    pub fn use_further_crates(&self, crates: &ExtraCrates) -> std::io::Result<bool> {
        let shared = self.toolchain.shared_library_arguments(crates)?;
        let arguments = shared.as_deref().unwrap_or(crates.arguments());
        wrapper::write_arguments(&self.folder.join(FURTHER_CRATES), arguments)?;
        Ok(shared.is_some())
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // What stays is removed by a later session.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether this process is one whose environment was made by [`enter_session_environment`].
fn is_session() -> bool {
    std::env::var(PROCESS_VARIABLE).is_ok_and(|id| id == std::process::id().to_string())
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
        (PROCESS_VARIABLE, std::process::id().to_string().into()),
        (FOLDER_VARIABLE, folder.into()),
        ("RUST_SRC_PATH", folder.join(NO_SOURCES).into()),
        // The user's evcxr settings (optimisation, prelude) are not meant for us.
        ("EVCXR_CONFIG_DIR", folder.join("configuration").into()),
        // Cargo and rustc themselves: rustup's proxies cost 50 ms a call.
        ("PATH", path),
        ("RUSTC_WRAPPER", program),
        (environment::RUSTC_WRAPPER, "1".into()),
        (
            environment::EXTRA_CRATES,
            folder.join(FURTHER_CRATES).into(),
        ),
        ("LD_LIBRARY_PATH", toolchain.library_path()),
    ]
}

fn make_folder() -> std::io::Result<PathBuf> {
    let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir()?;
    Ok(folder.keep())
}

/// A process that was killed could not remove its folder. Locks, unlike process ids, also tell
/// the living from the dead between containers that share the folder of temporary files.
fn remove_folders_of_ended_sessions(temporary: &Path) {
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name
            .as_encoded_bytes()
            .starts_with(FOLDER_PREFIX.as_bytes())
            && has_ended(&entry.path())
        {
            // It may be another user's.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn has_ended(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => fs::metadata(folder)
            .and_then(|state| state.modified())
            .is_ok_and(|made| made.elapsed().is_ok_and(|age| age > STARTING)),
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
            (File::create(folder.join(LOCK)).unwrap(), folder)
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
