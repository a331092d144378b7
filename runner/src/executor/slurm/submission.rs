//! The files of a job array, and its submission.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offmodel_support::atomic_file;

use super::commands::{self, SlurmError};
use super::parse::ArrayId;
use super::record::{ArrayRecord, TaskRecord, records};
use super::script::BatchScript;
use crate::error::RunnerError;
use crate::executor::AttemptSpec;
use crate::executor::blocking;
use crate::store::{Provenance, SpecRecord, SweepFolder, write_atomically};
use crate::sweep::Policy;

/// What all job arrays of a sweep share.
#[derive(Debug)]
pub struct SlurmSweep {
    /// Where results go.
    pub folder: Arc<SweepFolder>,
    /// The sweep's name; the names of its jobs begin with it.
    pub name: String,
    /// The notebook's text.
    pub notebook: String,
    /// The notebook's folder, which is the working directory of cells.
    pub directory: PathBuf,
    /// The compiled notebook, in the cache.
    pub program: PathBuf,
    /// The cache key of the compiled notebook.
    pub key: String,
    /// Where code and environment came from.
    pub provenance: Provenance,
    /// Limits, resources and Slurm's own settings.
    pub policy: Policy,
    /// What happens to jobs when the runner is stopped.
    pub when_stopped: WhenStopped,
}

/// What happens to a sweep's jobs when the runner is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum WhenStopped {
    /// They go on, and the same command watches them again.
    #[default]
    Leave,
    /// They are cancelled.
    Cancel,
}

/// Writes all files of a job array: the folders of its attempts, program, notebook, batch script,
/// and record.
///
/// # Errors
/// When a file cannot be written.
pub(super) async fn prepare(
    sweep: &Arc<SlurmSweep>,
    attempts: Vec<AttemptSpec>,
) -> Result<ArrayRecord, RunnerError> {
    let sweep = Arc::clone(sweep);
    blocking("prepare a job array", move || {
        prepare_files(&sweep, &attempts)
    })
    .await
}

fn prepare_files(sweep: &SlurmSweep, attempts: &[AttemptSpec]) -> Result<ArrayRecord, RunnerError> {
    let folder = records(&sweep.folder);
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| RunnerError::Write { path, source }
    };
    fs::create_dir_all(&folder).map_err(unwritable(&folder))?;
    // The script must contain absolute paths: Slurm starts jobs in other folders, on other machines.
    let folder = folder.canonicalize().map_err(unwritable(&folder))?;
    let directory = sweep
        .directory
        .canonicalize()
        .map_err(unwritable(&sweep.directory))?;
    let program = format!("program-{}", sweep.key);
    copy_program(&sweep.program, &folder.join(&program)).map_err(unwritable(&folder))?;
    for spec in attempts {
        sweep.folder.create_attempt(&spec_record(sweep, spec))?;
    }
    let tasks = attempts
        .iter()
        .map(|spec| TaskRecord {
            trial: spec.trial.id.clone(),
            attempt: spec.attempt,
        })
        .collect();
    let record = ArrayRecord::new(
        unique_name(&sweep.name),
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
        tasks: attempts.len(),
        policy: &sweep.policy,
        folder: &folder,
        offmodel: &offmodel,
        record: &folder.join(format!("{}.json", record.name)),
    };
    write_atomically(&record.file(&sweep.folder, ".sh"), script.text().as_bytes())?;
    record.write(&sweep.folder)?;
    Ok(record)
}

/// Submits a prepared array. If the sweep has a throttle, the array begins after `others`, its
/// arrays in flight: Slurm applies the throttle to each array by itself, so two at the same time
/// would exceed it.
///
/// # Errors
/// When Slurm refuses or does not answer.
pub(super) async fn submit_array(
    sweep: &Arc<SlurmSweep>,
    record: &ArrayRecord,
    others: &[ArrayId],
) -> Result<ArrayId, SlurmError> {
    let others: Vec<String> = others.iter().map(ToString::to_string).collect();
    let dependency = (sweep.policy.slurm.throttle.is_some() && !others.is_empty())
        .then(|| format!("--dependency=afterany:{}", others.join(":")));
    let script = record.file(&sweep.folder, ".sh");
    commands::submit(&script, dependency.as_deref(), &sweep.policy).await
}

/// Removes the files of an array that Slurm did not accept. Its attempts never began.
pub(super) fn undo_submit(sweep: &SlurmSweep, record: &ArrayRecord) {
    for suffix in [".json", ".sh", ".ipynb"] {
        let _ = fs::remove_file(record.file(&sweep.folder, suffix));
    }
    for task in &record.tasks {
        remove_if_not_begun(&sweep.folder, task);
    }
}

/// Removes the folder of an attempt that never began; it holds nothing worth keeping.
pub(super) fn remove_if_not_begun(folder: &SweepFolder, task: &TaskRecord) {
    let attempt = folder.attempt(&task.trial, task.attempt);
    if !has_begun(folder, task) && !attempt.join("result.json").exists() {
        let _ = fs::remove_dir_all(&attempt);
    }
}

/// Whether the program of a task's first attempt was started.
pub(super) fn has_begun(folder: &SweepFolder, task: &TaskRecord) -> bool {
    let attempt = folder.attempt(&task.trial, task.attempt);
    attempt.join("events.jsonl").exists()
}

/// The content of an attempt's `spec.json`.
pub(super) fn spec_record(sweep: &SlurmSweep, spec: &AttemptSpec) -> SpecRecord {
    let mut record = SpecRecord::new(
        spec.trial.id.clone(),
        spec.attempt,
        spec.trial.given.clone(),
        spec.trial.parameters.clone(),
        sweep.provenance.clone(),
    );
    record.data.clone_from(&spec.trial.data);
    record
}

/// Copies the program to where nodes see it: the cache may be on this machine alone, and programs
/// are removed from it while jobs wait for days.
fn copy_program(program: &Path, target: &Path) -> io::Result<()> {
    if target.is_file() {
        return Ok(());
    }
    let mut source = fs::File::open(program)?;
    atomic_file::write_with(target, |file| {
        let mode = source.metadata()?.permissions();
        io::copy(&mut source, file)?;
        file.get_ref().set_permissions(mode)
    })
}

/// A name that no other job has, by which a job is found again if its number is lost.
fn unique_name(sweep: &str) -> String {
    let uuid = uuid::Uuid::new_v4().simple().to_string();
    format!("{sweep}.{}", &uuid[..8])
}
