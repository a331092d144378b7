//! Who is at work on a sweep: its `runner.json`.
//!
//! On one machine the system's file lock decides, which ends with the process that holds it,
//! however that ends. Shared folders do not always carry locks to other machines; there the
//! record does, as long as its runner renews it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::error::RunnerError;
use crate::terminal::errln;

/// The version of `runner.json`.
const VERSION: u64 = 1;
/// The record's file.
const RECORD: &str = "runner.json";
/// The file that is locked. It stays: a lock on a file that is removed would be no lock.
const LOCK: &str = ".runner.lock";
/// How often a runner renews its record.
const RENEWED_EVERY: Duration = Duration::from_secs(10);
/// A record of another machine that was not renewed for so long is that of a runner that died.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(60);

/// A runner at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunnerRecord {
    /// Of this structure.
    pub version: u64,
    /// The machine's name.
    pub host: String,
    /// The start of the machine's kernel: other machines, and this one before, have another.
    pub boot: String,
    /// Within which processes have their numbers: containers have their own.
    pub namespace: String,
    /// The process.
    pub process: i32,
    /// When it started, in ticks since the kernel's start: numbers of processes are used again.
    pub started: u64,
    /// Since when it is at work, in RFC 3339.
    pub since: String,
    /// How many trials it runs at once.
    pub workers: usize,
}

impl RunnerRecord {
    /// Of this process, now.
    fn own(workers: usize) -> Self {
        let read = |path: &str| {
            fs::read_to_string(path)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let process = i32::try_from(std::process::id()).unwrap_or_default();
        Self {
            version: VERSION,
            host: read("/proc/sys/kernel/hostname"),
            boot: read("/proc/sys/kernel/random/boot_id"),
            namespace: namespace(),
            process,
            started: start_of(process).unwrap_or_default(),
            since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            workers,
        }
    }

    fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(RECORD)).ok()?;
        let record: Self = serde_json::from_str(&text).ok()?;
        (record.version == VERSION).then_some(record)
    }

    /// Whether its process is one that we can see and signal.
    pub fn is_here(&self) -> bool {
        let own = Self::own(0);
        self.boot == own.boot && self.namespace == own.namespace
    }

    /// Whether it is this process.
    pub fn is_own(&self) -> bool {
        self.is_here() && self.process == own_process()
    }

    /// Whether the process, which [is here](Self::is_here), runs.
    pub fn is_alive(&self) -> bool {
        start_of(self.process) == Some(self.started)
    }
}

impl std::fmt::Display for RunnerRecord {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "process {} on {}, since {}",
            self.process, self.host, self.since
        )
    }
}

/// The runner that is at work on a sweep's folder, if there is one.
pub fn runner_at_work(folder: &Path) -> Option<RunnerRecord> {
    let record = RunnerRecord::read(folder)?;
    let is_at_work = if record.is_here() {
        record.is_alive()
    } else {
        was_renewed(folder)
    };
    is_at_work.then_some(record)
}

/// The right to write into a sweep's folder, until it is dropped.
#[derive(Debug)]
pub struct Hold {
    folder: PathBuf,
    record: RunnerRecord,
    /// Held as long as the file is open.
    _lock: File,
    /// Dropped to end the renewal.
    end: Option<Sender<()>>,
    renewal: Option<JoinHandle<()>>,
}

impl Hold {
    /// Takes a folder for this process.
    ///
    /// # Errors
    /// When another process has it, or it cannot be written.
    pub fn take(folder: &Path, workers: usize) -> Result<Self, RunnerError> {
        let failed = |source| RunnerError::Write {
            path: folder.to_owned(),
            source,
        };
        let lock = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(folder.join(LOCK))
            .map_err(failed)?;
        match lock.try_lock() {
            // Where the file system has no locks, the record alone has to do.
            Ok(()) | Err(TryLockError::Error(_)) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(busy(folder, RunnerRecord::read(folder)));
            }
        }
        remove_abandoned(folder)?;
        let record = RunnerRecord::own(workers);
        write_new(folder, &record).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                // Another machine was quicker.
                busy(folder, RunnerRecord::read(folder))
            } else {
                failed(error)
            }
        })?;
        let (end, ended) = channel();
        let (own_folder, own_record) = (folder.to_owned(), record.clone());
        let renewal = std::thread::spawn(move || {
            while ended.recv_timeout(RENEWED_EVERY) == Err(RecvTimeoutError::Timeout) {
                if !renew(&own_folder, &own_record) {
                    return;
                }
            }
        });
        Ok(Self {
            folder: folder.to_owned(),
            record,
            _lock: lock,
            end: Some(end),
            renewal: Some(renewal),
        })
    }
}

impl Hold {
    /// Removes what holding leaves in a folder that nobody holds and that is to go.
    pub fn forget(folder: &Path) {
        let _ = fs::remove_file(folder.join(LOCK));
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(renewal) = self.renewal.take() {
            let _ = renewal.join();
        }
        if RunnerRecord::read(&self.folder).as_ref() == Some(&self.record) {
            let _ = fs::remove_file(self.folder.join(RECORD));
        }
    }
}

fn busy(folder: &Path, holder: Option<RunnerRecord>) -> RunnerError {
    RunnerError::Busy {
        folder: folder.to_owned(),
        holder: holder.map(Box::new),
    }
}

/// Removes the record of a runner that is gone. The lock is ours: a runner of this kernel that
/// had it has ended.
fn remove_abandoned(folder: &Path) -> Result<(), RunnerError> {
    let path = folder.join(RECORD);
    if !path.exists() {
        return Ok(());
    }
    if let Some(record) = RunnerRecord::read(folder) {
        let is_at_work = if record.boot == RunnerRecord::own(0).boot {
            // Where locks do nothing, the process itself tells.
            record.is_here() && record.is_alive() && record.process != own_process()
        } else {
            was_renewed(folder)
        };
        if is_at_work {
            return Err(busy(folder, Some(record)));
        }
        errln!("the runner before this one ({record}) did not end in order; going on from there");
    }
    fs::remove_file(&path).map_err(|source| RunnerError::Write { path, source })
}

fn own_process() -> i32 {
    i32::try_from(std::process::id()).unwrap_or_default()
}

/// Appears whole, and only if there is none: also between machines.
fn write_new(folder: &Path, record: &RunnerRecord) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".offmodel-")
        .tempfile_in(folder)?;
    let mut text = serde_json::to_vec_pretty(record)?;
    text.push(b'\n');
    file.write_all(&text)?;
    file.persist_noclobber(folder.join(RECORD))
        .map_err(|error| error.error)?;
    Ok(())
}

/// Says that we are still here; false once someone else is.
fn renew(folder: &Path, record: &RunnerRecord) -> bool {
    match RunnerRecord::read(folder) {
        Some(found) if found == *record => {
            // Fails on a full disk, too; the next time is soon.
            let _ = File::options()
                .append(true)
                .open(folder.join(RECORD))
                .and_then(|file| file.set_modified(SystemTime::now()));
            true
        }
        // A moment's failure to read.
        None => true,
        Some(other) => {
            errln!(
                "this runner was asleep for so long that another one took over ({other}): stopping"
            );
            // SAFETY: a plain system call; our own handler stops the sweep in order.
            unsafe { libc::kill(libc::getpid(), libc::SIGTERM) };
            false
        }
    }
}

/// Whether the record was renewed lately, by the clock of the file system.
fn was_renewed(folder: &Path) -> bool {
    let modified = |file: &Path| fs::metadata(file).and_then(|metadata| metadata.modified());
    let Ok(renewed) = modified(&folder.join(RECORD)) else {
        return false;
    };
    let now = tempfile::Builder::new()
        .prefix(".offmodel-")
        .tempfile_in(folder)
        .and_then(|file| modified(file.path()))
        .unwrap_or_else(|_| SystemTime::now());
    now.duration_since(renewed)
        .is_ok_and(|age| age < GIVEN_UP_AFTER)
        || renewed > now
}

fn namespace() -> String {
    fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// Field 22 of `/proc/PID/stat`, in ticks since the start of the kernel; the second field, a name,
/// may hold anything but ends with the last parenthesis.
fn start_of(process: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    // A zombie has ended.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(folder: &Path) -> RunnerRecord {
        let record = RunnerRecord {
            host: "other".to_owned(),
            boot: "another kernel".to_owned(),
            ..RunnerRecord::own(1)
        };
        write_new(folder, &record).unwrap();
        record
    }

    #[test]
    fn a_folder_is_held_by_one_and_free_again_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(runner_at_work(folder.path()), None);
        let hold = Hold::take(folder.path(), 2).unwrap();
        let told = runner_at_work(folder.path()).unwrap();
        assert_eq!((told.process, told.workers), (own_process(), 2));
        let refused = Hold::take(folder.path(), 1).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("process {} on", std::process::id())),
            "{refused}"
        );
        drop(hold);
        assert_eq!(runner_at_work(folder.path()), None);
        drop(Hold::take(folder.path(), 1).unwrap());
    }

    #[test]
    fn the_record_of_a_process_that_is_gone_is_no_runner() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let gone = RunnerRecord {
            process: i32::try_from(child.id()).unwrap(),
            started: 1,
            ..RunnerRecord::own(1)
        };
        child.wait().unwrap();
        write_new(folder.path(), &gone).unwrap();
        assert_eq!(runner_at_work(folder.path()), None);
        let _hold = Hold::take(folder.path(), 1).unwrap();
        let own = RunnerRecord::read(folder.path()).unwrap();
        assert_eq!(own.process, own_process());
    }

    #[test]
    fn another_machines_runner_counts_until_it_is_silent_for_a_minute() {
        let folder = tempfile::tempdir().unwrap();
        let record = foreign(folder.path());
        assert_eq!(runner_at_work(folder.path()), Some(record));
        let refused = Hold::take(folder.path(), 1).unwrap_err().to_string();
        assert!(refused.contains("on other, since"), "{refused}");
        File::options()
            .append(true)
            .open(folder.path().join(RECORD))
            .and_then(|file| file.set_modified(SystemTime::now() - 2 * GIVEN_UP_AFTER))
            .unwrap();
        assert_eq!(runner_at_work(folder.path()), None);
        Hold::take(folder.path(), 1).unwrap();
    }

    #[test]
    fn the_start_of_a_process_tells_it_from_a_later_one_of_the_same_number() {
        let own = start_of(own_process());
        assert!(own.is_some());
        assert_eq!(start_of(i32::MAX), None);
    }
}
