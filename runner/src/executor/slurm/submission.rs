//! From attempts to make to a job array in Slurm.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::answers::ArrayId;
use super::commands::{self, SlurmError};
use super::record::{ArrayRecord, TaskRecord, records};
use super::script::BatchScript;
use crate::error::RunnerError;
use crate::executor::Work;
use crate::executor::attempt::blocking;
use crate::store::{AttemptSpec, Provenance, SweepFolder, write_atomically};
use crate::sweep::Policy;

/// What all arrays of a sweep share.
#[derive(Debug)]
pub struct SlurmSweep {
    /// Where results go.
    pub folder: Arc<SweepFolder>,
    /// The sweep's name, with which those of its jobs begin.
    pub name: String,
    /// The notebook's text.
    pub notebook: String,
    /// Its folder, where cells work.
    pub directory: PathBuf,
    /// The compiled notebook.
    pub program: PathBuf,
    /// Its name in the cache.
    pub key: String,
    /// Where code and environment came from.
    pub provenance: Provenance,
    /// Limits, resources and Slurm's own settings.
    pub policy: Policy,
    /// What a stop of the runner means for jobs.
    pub when_stopped: WhenStopped,
}

/// What becomes of a sweep's jobs when the runner is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum WhenStopped {
    /// They go on; the same command watches them again.
    #[default]
    Leave,
    /// They are cancelled.
    Cancel,
}

/// Prepares everything that a job array needs, but does not hand it to Slurm.
///
/// # Errors
/// When a file cannot be written.
pub async fn prepare(
    sweep: &Arc<SlurmSweep>,
    batch: Vec<Work>,
) -> Result<ArrayRecord, RunnerError> {
    let sweep = Arc::clone(sweep);
    blocking(move || prepare_files(&sweep, &batch)).await
}

fn prepare_files(sweep: &SlurmSweep, batch: &[Work]) -> Result<ArrayRecord, RunnerError> {
    let own = records(&sweep.folder);
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| RunnerError::Write { path, source }
    };
    fs::create_dir_all(&own).map_err(unwritable(&own))?;
    // Slurm starts jobs in other folders and on other machines.
    let own = own.canonicalize().map_err(unwritable(&own))?;
    let directory = sweep
        .directory
        .canonicalize()
        .map_err(unwritable(&sweep.directory))?;
    let program = format!("program-{}", sweep.key);
    place_program(&sweep.program, &own.join(&program)).map_err(unwritable(&own))?;
    for work in batch {
        sweep.folder.create_attempt(&spec_of(sweep, work))?;
    }
    let tasks = batch
        .iter()
        .map(|work| TaskRecord {
            trial: work.trial.id.clone(),
            attempt: work.attempt,
        })
        .collect();
    let record = ArrayRecord::new(
        new_name(&sweep.name),
        program,
        directory,
        &sweep.policy,
        tasks,
    );
    write_atomically(
        &record.file(&sweep.folder, ".ipynb"),
        sweep.notebook.as_bytes(),
    )?;
    let offmodel = std::env::current_exe().map_err(unwritable(Path::new("/proc/self/exe")))?;
    let script = BatchScript {
        name: &record.name,
        tasks: batch.len(),
        policy: &sweep.policy,
        folder: &own,
        offmodel: &offmodel,
        record: &own.join(format!("{}.json", record.name)),
    };
    write_atomically(&record.file(&sweep.folder, ".sh"), script.text().as_bytes())?;
    record.write(&sweep.folder)?;
    Ok(record)
}

/// Hands a prepared array to Slurm, to begin after `others` if no more than some may run at once.
///
/// # Errors
/// When Slurm refuses or nobody answers.
pub async fn hand_over(
    sweep: &Arc<SlurmSweep>,
    record: &ArrayRecord,
    others: &[ArrayId],
) -> Result<ArrayId, SlurmError> {
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    // Every array has the limit for itself: two of them together would exceed it.
    let dependency = (sweep.policy.slurm.throttle.is_some() && !others.is_empty())
        .then(|| format!("--dependency=afterany:{}", others.join(":")));
    let script = record.file(&sweep.folder, ".sh");
    commands::submit(&script, dependency.as_deref(), &sweep.policy).await
}

/// Forgets an array that Slurm did not take: its attempts never began.
pub fn take_back(sweep: &SlurmSweep, record: &ArrayRecord) {
    for ending in [".json", ".sh", ".ipynb"] {
        let _ = fs::remove_file(record.file(&sweep.folder, ending));
    }
    for task in &record.tasks {
        remove_unbegun(&sweep.folder, task);
    }
}

/// Removes the folder of an attempt that never began: nothing in it is worth keeping.
pub fn remove_unbegun(folder: &SweepFolder, task: &TaskRecord) {
    let attempt = folder.attempt(&task.trial, task.attempt);
    if !has_begun(folder, task) && !attempt.join("result.json").exists() {
        let _ = fs::remove_dir_all(&attempt);
    }
}

/// Whether a task's attempt left anything.
pub fn has_begun(folder: &SweepFolder, task: &TaskRecord) -> bool {
    let attempt = folder.attempt(&task.trial, task.attempt);
    attempt.join("events.jsonl").exists()
}

/// What an attempt is asked to do.
pub fn spec_of(sweep: &SlurmSweep, work: &Work) -> AttemptSpec {
    let mut spec = AttemptSpec::new(
        work.trial.id.clone(),
        work.attempt,
        work.trial.given.clone(),
        work.trial.parameters.clone(),
        sweep.provenance.clone(),
    );
    spec.data.clone_from(&work.trial.data);
    spec
}

/// The cache may be on this machine alone, and forgets programs while jobs wait for days.
fn place_program(program: &Path, place: &Path) -> io::Result<()> {
    if place.is_file() {
        return Ok(());
    }
    let mut beside = place.as_os_str().to_owned();
    beside.push(".new");
    fs::copy(program, &beside)?;
    fs::File::open(&beside)?.sync_all()?;
    fs::rename(&beside, place)
}

/// Jobs are found again by their names.
fn new_name(sweep: &str) -> String {
    let unique = uuid::Uuid::new_v4().simple().to_string();
    format!("{sweep}.{}", &unique[..8])
}
