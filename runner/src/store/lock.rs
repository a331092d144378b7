//! The right to write to a sweep's folder, which one process at a time has.
//!
//! On one machine the system's file lock decides: it ends with the process, however that ends.
//! Network file systems do not always carry locks to other machines; there `runner.json` decides,
//! which the runner renews every [`HEARTBEAT_INTERVAL`].

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::SystemTime;

use offmodel_support::atomic_file;

use super::files::{failed_to_write, json_text};
use super::runner_record::{HEARTBEAT_INTERVAL, RUNNER_FILE, RunnerRecord, has_heartbeat};
use crate::error::RunnerError;
use crate::terminal::errln;

/// The locked file. It stays when the lock is released: if it were removed, one process could hold
/// a lock on the removed file while another locks a new one.
const LOCK_FILE: &str = ".runner.lock";

/// Exclusive access to a sweep's folder, until it is dropped.
#[derive(Debug)]
pub struct SweepLock {
    folder: PathBuf,
    record: RunnerRecord,
    /// The system holds the lock while this file is open.
    _lock: File,
    /// Dropped to end the heartbeat.
    stop_heartbeat: Option<Sender<()>>,
    heartbeat: Option<JoinHandle<()>>,
}

impl SweepLock {
    /// Locks a folder for this process, which runs `workers` trials at once.
    ///
    /// # Errors
    /// [`RunnerError::Busy`] if another runner holds it, [`RunnerError::Write`] if the folder
    /// cannot be written.
    pub fn acquire(folder: &Path, workers: usize) -> Result<Self, RunnerError> {
        let failed = |source| failed_to_write(folder, source);
        let lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(folder.join(LOCK_FILE))
            .map_err(failed)?;
        match lock.try_lock() {
            // On a file system without locks, the record alone must do.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(busy(folder, RunnerRecord::read(folder)));
            }
        }
        remove_stale_record(folder)?;
        let record = RunnerRecord::of_this_process(workers);
        create_record(folder, &record).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                // Another machine, to which the lock does not reach, created its record first.
                busy(folder, RunnerRecord::read(folder))
            } else {
                failed(error)
            }
        })?;
        let (stop_heartbeat, stopped) = channel();
        let (own_folder, own_record) = (folder.to_owned(), record.clone());
        let heartbeat = std::thread::spawn(move || {
            while stopped.recv_timeout(HEARTBEAT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if !renew(&own_folder, &own_record) {
                    return;
                }
            }
        });
        Ok(Self {
            folder: folder.to_owned(),
            record,
            _lock: lock,
            stop_heartbeat: Some(stop_heartbeat),
            heartbeat: Some(heartbeat),
        })
    }

    /// Removes the file that locking leaves behind, from a folder that is to be removed.
    pub fn remove_file(folder: &Path) {
        let _ = fs::remove_file(folder.join(LOCK_FILE));
    }
}

impl Drop for SweepLock {
    fn drop(&mut self) {
        drop(self.stop_heartbeat.take());
        if let Some(heartbeat) = self.heartbeat.take() {
            let _ = heartbeat.join();
        }
        if RunnerRecord::read(&self.folder).as_ref() == Some(&self.record) {
            let _ = fs::remove_file(self.folder.join(RUNNER_FILE));
        }
    }
}

fn busy(folder: &Path, holder: Option<RunnerRecord>) -> RunnerError {
    RunnerError::Busy {
        folder: folder.to_owned(),
        holder: holder.map(Box::new),
    }
}

/// Removes the record of a runner that died; fails if that runner is alive.
///
/// The caller holds the lock, so a runner of this machine that had it has ended.
fn remove_stale_record(folder: &Path) -> Result<(), RunnerError> {
    let path = folder.join(RUNNER_FILE);
    if !path.exists() {
        return Ok(());
    }
    if let Some(record) = RunnerRecord::read(folder) {
        let is_active = if record.is_from_this_boot() {
            // Matters only on a file system without locks.
            record.is_local() && record.is_alive() && !record.is_this_process()
        } else {
            has_heartbeat(folder)
        };
        if is_active {
            return Err(busy(folder, Some(record)));
        }
        errln!("the previous runner ({record}) did not shut down in order; continuing its sweep");
    }
    fs::remove_file(&path).map_err(|source| failed_to_write(&path, source))
}

fn create_record(folder: &Path, record: &RunnerRecord) -> io::Result<()> {
    atomic_file::create_new(&folder.join(RUNNER_FILE), &json_text(record)?)
}

/// Renews this process's record; false if another runner has taken over.
///
/// That happens after this machine slept for longer than the heartbeat timeout. The sweep is then
/// stopped in order, as by a SIGTERM from outside.
fn renew(folder: &Path, record: &RunnerRecord) -> bool {
    match RunnerRecord::read(folder) {
        Some(found) if found == *record => {
            // May fail on a full disk; the next attempt is soon.
            let _ = File::options()
                .append(true)
                .open(folder.join(RUNNER_FILE))
                .and_then(|file| file.set_modified(SystemTime::now()));
            true
        }
        // A transient failure to read must not stop the sweep.
        None => true,
        Some(other) => {
            errln!(
                "another runner ({other}) took over while this machine slept; stopping this one"
            );
            // SAFETY: a plain system call; our own signal handler stops the sweep.
            unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use offmodel_support::process::own_pid;

    use super::super::active_runner;
    use super::super::runner_record::HEARTBEAT_TIMEOUT;
    use super::*;

    #[test]
    fn a_folder_is_locked_by_one_runner_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(active_runner(folder.path()), None);
        let lock = SweepLock::acquire(folder.path(), 2).unwrap();
        let active = active_runner(folder.path()).unwrap();
        assert_eq!((active.pid, active.workers), (own_pid(), 2));
        let refusal = SweepLock::acquire(folder.path(), 1)
            .unwrap_err()
            .to_string();
        assert!(
            refusal.contains(&format!("process {} on", std::process::id())),
            "{refusal}"
        );
        drop(lock);
        assert_eq!(active_runner(folder.path()), None);
        drop(SweepLock::acquire(folder.path(), 1).unwrap());
    }

    #[test]
    fn a_record_whose_process_ended_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let stale = RunnerRecord {
            pid: i32::try_from(child.id()).unwrap(),
            start_time: 1,
            ..RunnerRecord::of_this_process(1)
        };
        child.wait().unwrap();
        create_record(folder.path(), &stale).unwrap();
        assert_eq!(active_runner(folder.path()), None);
        let _lock = SweepLock::acquire(folder.path(), 1).unwrap();
        let record = RunnerRecord::read(folder.path()).unwrap();
        assert_eq!(record.pid, own_pid());
    }

    #[test]
    fn a_runner_on_another_machine_is_active_until_it_is_silent_for_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let record = RunnerRecord {
            host: "other".to_owned(),
            boot_id: "another boot".to_owned(),
            ..RunnerRecord::of_this_process(1)
        };
        create_record(folder.path(), &record).unwrap();
        assert_eq!(active_runner(folder.path()), Some(record));
        let refusal = SweepLock::acquire(folder.path(), 1)
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("on other, since"), "{refusal}");
        File::options()
            .append(true)
            .open(folder.path().join(RUNNER_FILE))
            .and_then(|file| file.set_modified(SystemTime::now() - 2 * HEARTBEAT_TIMEOUT))
            .unwrap();
        assert_eq!(active_runner(folder.path()), None);
        SweepLock::acquire(folder.path(), 1).unwrap();
    }
}
