//! The file of all schedules, which several schedulers may share.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use offmodel_support::environment;
use serde_json::Value;

use super::{SCHEDULES_VERSION, ScheduleError, ScheduleTable};
use crate::error::RunnerError;
use crate::store::write_atomically;

/// `schedules.json` in a folder that also holds the logs of runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleStore {
    folder: PathBuf,
}

impl ScheduleStore {
    /// The store in a folder, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The store of this user: in `$OFFMODEL_STATE`, otherwise in `offmodel/schedules` in the
    /// user's state folder.
    ///
    /// # Errors
    /// [`ScheduleError::NoFolder`].
    pub fn of_user() -> Result<Self, ScheduleError> {
        match environment::value(environment::STATE) {
            Some(folder) => std::path::absolute(folder).ok(),
            None => dirs::state_dir().map(|folder| folder.join("offmodel/schedules")),
        }
        .map(Self::new)
        .ok_or(ScheduleError::NoFolder)
    }

    /// The folder of the store.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads all schedules. Without a file, there are none.
    ///
    /// # Errors
    /// [`ScheduleError::Store`], if the file is unreadable or of another version.
    pub fn read(&self) -> Result<ScheduleTable, ScheduleError> {
        let path = self.file();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(ScheduleTable::default());
            }
            Err(error) => {
                let reason = error.to_string();
                return Err(ScheduleError::Store { path, reason });
            }
        };
        parse(&text).map_err(|reason| ScheduleError::Store { path, reason })
    }

    /// Lets `change` modify the schedules while no other process can. If it fails, the file stays
    /// as it was.
    ///
    /// # Errors
    /// The error of `change`; [`ScheduleError`], if the file cannot be read, locked or written.
    pub fn update<T>(
        &self,
        change: impl FnOnce(&mut ScheduleTable) -> Result<T, RunnerError>,
    ) -> Result<T, RunnerError> {
        let failed = |source| ScheduleError::Write {
            path: self.folder.clone(),
            source,
        };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        // Not schedules.json itself, because every change replaces that file. The system releases
        // the lock when the file is closed, however this process ends.
        let lock = File::create(self.folder.join("lock")).map_err(failed)?;
        lock.lock().map_err(failed)?;
        let before = self.read()?;
        let mut table = before.clone();
        let result = change(&mut table)?;
        if table != before {
            let text = serde_json::to_string_pretty(&table).map_err(io::Error::other);
            let text = text.map_err(failed)?;
            write_atomically(&self.file(), format!("{text}\n").as_bytes())?;
        }
        Ok(result)
    }

    fn file(&self) -> PathBuf {
        self.folder.join("schedules.json")
    }
}

fn parse(text: &str) -> Result<ScheduleTable, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match value.get("version").and_then(Value::as_u64) {
        Some(SCHEDULES_VERSION) => serde_json::from_value(value).map_err(|error| error.to_string()),
        Some(other) => Err(format!(
            "version {other} is unknown, expected {SCHEDULES_VERSION}: another version of offmodel wrote it"
        )),
        None => Err("it has no version".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITTEN: &str = r#"{"version":1,"schedules":{"nightly":{"schedule":{"cron":"30 2 * * *","timezone":"Europe/Berlin","sweep":"/lab/nightly.toml","folder":"/lab","arguments":["--workers","2"],"missed":"run-once","overlap":false},"settled":"2026-03-29T01:00:00Z","waiting":[{"scheduled":"2026-03-29T01:00:00Z","begun":1}],"running":[],"history":[{"scheduled":"2026-03-28T01:30:00Z","started":"2026-03-28T01:30:01Z","ended":"2026-03-28T02:00:00Z","outcome":{"kind":"failed","exit_code":1},"log":"/state/logs/nightly/1.log"}]}}}"#;

    #[test]
    fn a_file_of_this_version_stays_readable() {
        let table = parse(WRITTEN).unwrap();
        assert_eq!(serde_json::to_string(&table).unwrap(), WRITTEN);
    }

    #[test]
    fn a_file_of_another_version_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = ScheduleStore::new(folder.path());
        fs::write(store.file(), r#"{"version":9}"#).unwrap();
        let error = store.update(|_| Ok(())).unwrap_err().to_string();
        assert!(
            error.contains("version 9 is unknown, expected 1"),
            "{error}"
        );
        let text = fs::read_to_string(store.file()).unwrap();
        assert_eq!(text, r#"{"version":9}"#);
    }

    #[test]
    fn concurrent_changes_are_applied_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = ScheduleStore::new(folder.path());
        let template = parse(WRITTEN).unwrap().schedules["nightly"].clone();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (store, template) = (&store, &template);
                scope.spawn(move || {
                    for number in 0..10 {
                        let name = format!("{worker}-{number}");
                        let insert = |table: &mut ScheduleTable| {
                            table.schedules.insert(name, template.clone());
                            Ok(())
                        };
                        store.update(insert).unwrap();
                    }
                });
            }
        });
        assert_eq!(store.read().unwrap().schedules.len(), 40);
    }
}
