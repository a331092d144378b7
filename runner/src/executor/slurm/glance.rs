//! How a sweep's jobs are, for whoever looks at a sweep without being its runner.

use std::time::Duration;

use tokio::time::timeout;

use super::commands::SlurmError;
use super::jobs::{LiveJobs, live_among};
use super::publication::latest_result;
use super::record::open_records;
use crate::store::SweepFolder;

/// A person waits for the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The jobs of a sweep that wait or run in Slurm. `None` where there can be none, which nobody
/// needs to be asked for: none was handed over, or every one published its result.
///
/// # Errors
/// When a record is unreadable, or Slurm is not there or does not answer soon.
pub async fn glance(folder: &SweepFolder) -> Result<Option<LiveJobs>, SlurmError> {
    let mut records = open_records(folder)?;
    records.retain(|record| {
        let mut tasks = record.tasks.iter();
        tasks.any(|task| latest_result(folder, task).is_none())
    });
    if records.is_empty() {
        return Ok(None);
    }
    match timeout(PATIENCE, live_among(records)).await {
        Ok(live) => live.map(Some),
        Err(_) => Err(SlurmError::Unreachable {
            command: "squeue",
            message: format!("nothing for {} s", PATIENCE.as_secs()),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::record::{ArrayRecord, TaskRecord, records};
    use super::*;
    use crate::sweep::Policy;

    #[tokio::test]
    async fn nobody_is_asked_about_jobs_that_are_done() {
        let kept = tempfile::tempdir().unwrap();
        let folder = SweepFolder::unlocked(kept.path());
        assert!(matches!(glance(&folder).await, Ok(None)));
        std::fs::create_dir_all(records(&folder)).unwrap();
        std::fs::create_dir_all(folder.attempt("a", 1)).unwrap();
        let task = TaskRecord {
            trial: "a".to_owned(),
            attempt: 1,
        };
        let record = ArrayRecord::new(
            "n.1".to_owned(),
            "program-k".to_owned(),
            PathBuf::new(),
            &Policy::default(),
            vec![task],
        );
        record.write(&folder).unwrap();
        let result = r#"{"version":1,"trial":"a","attempt":1,"status":"succeeded","cause":null,"ended":"","seconds":1.0,"peak_memory":0,"frames":[]}"#;
        std::fs::write(folder.attempt("a", 1).join("result.json"), result).unwrap();
        assert!(matches!(glance(&folder).await, Ok(None)));
    }
}
