//! One attempt on its node: what `offmodel attempt` does inside a task of a job array.
//!
//! The program is served and watched as the local executor does it, so that a trial's results do
//! not depend on who ran it. Signals of the cluster are told apart: `SIGUSR1` comes a while
//! before the job's time limit and lets the program stop in order (the attempt then failed for
//! lack of time); `SIGTERM` takes the job away (the attempt has no result, and Slurm says why).

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offmodel_events::batch::{ExitStatus, exit_code};
use offmodel_program::Notebook;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::commands::SlurmError;
use super::record::{ArrayRecord, TaskRecord};
use crate::error::RunnerError;
use crate::executor::attempt::publish;
use crate::executor::limits::within;
use crate::executor::single::{GRACE, signal_group};
use crate::executor::{ExecutorError, LocalExecutor, Outcome, Place, Work};
use crate::exit_code::ExitCode;
use crate::store::{Cause, Machine, Standing, Status, SweepFolder};
use crate::sweep::Trial;
use crate::terminal::note;

/// How much later a signal may reach us than the program, when Slurm signals both.
const LATE_SIGNAL: Duration = Duration::from_secs(1);

/// Makes the attempt that this task of the array is for.
///
/// # Errors
/// When this is no task of the array, or the attempt cannot be made or published.
pub fn run(record_path: &Path) -> Result<ExitCode, RunnerError> {
    let record = ArrayRecord::read(record_path)?;
    let index = variable("SLURM_ARRAY_TASK_ID")?;
    // Only set once Slurm started the task again.
    let restarts = variable("SLURM_RESTART_COUNT").unwrap_or(0);
    let task = record.tasks.get(index).ok_or_else(|| SlurmError::Record {
        path: record_path.to_owned(),
        reason: format!(
            "it has {} tasks, none of number {index}",
            record.tasks.len()
        ),
    })?;
    let sweep = record_path.ancestors().nth(2).unwrap_or(Path::new("/"));
    let folder = SweepFolder::unlocked(sweep);
    if record.closed {
        note!("the runner gave this array up: nothing to do");
        return Ok(ExitCode::Success);
    }
    match folder.state(&task.trial).standing {
        Standing::Succeeded(_) => {
            note!("trial {} is done already", task.trial);
            return Ok(ExitCode::Success);
        }
        Standing::Cancelled(_) => {
            note!("trial {} is cancelled", task.trial);
            return Ok(ExitCode::Success);
        }
        _ => {}
    }
    let target = Target::take(&folder, &record, task, restarts)?;
    let notebook = Notebook::read(&record_path.with_extension("ipynb"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .map_err(|source| RunnerError::Write {
            path: target.folder.clone(),
            source,
        })?;
    let program = record_path.with_file_name(&record.program);
    let execution = runtime.block_on(execute(&program, &record, &target))?;
    target.publish(&notebook, execution)
}

/// Where the attempt goes, and what it is.
struct Target {
    folder: PathBuf,
    work: Work,
}

impl Target {
    /// The folder that the runner prepared; for a task that Slurm started again, one of its own:
    /// what the attempt before it wrote stays as it is.
    fn take(
        sweep: &SweepFolder,
        record: &ArrayRecord,
        task: &TaskRecord,
        restarts: usize,
    ) -> Result<Self, RunnerError> {
        let prepared = sweep.attempt(&task.trial, task.attempt);
        let mut spec = sweep
            .spec(&task.trial, task.attempt)
            .ok_or_else(|| RunnerError::Read {
                path: prepared.join("spec.json"),
                reason: "it is no attempt's spec".to_owned(),
            })?;
        spec.provenance.move_to(Machine::this());
        let mut folder = prepared;
        if restarts == 0 {
            spec.write(&folder)?;
        } else {
            spec.attempt = task.attempt + restarts;
            folder = sweep.create_attempt(&spec)?;
            note!(
                "started again: attempt {} of trial {}",
                spec.attempt,
                task.trial
            );
        }
        if record.offmodel != env!("CARGO_PKG_VERSION") {
            note!(
                "submitted by offmodel {}, run by {}",
                record.offmodel,
                env!("CARGO_PKG_VERSION")
            );
        }
        let work = Work {
            trial: Trial {
                id: spec.trial,
                given: spec.parameters,
                parameters: spec.all_parameters,
                data: spec.data,
                priority: 0,
            },
            attempt: spec.attempt,
            program: spec.provenance.program,
            place: Place {
                cores: Vec::new(),
                gpus: own_gpus(),
            },
        };
        Ok(Self { folder, work })
    }

    fn publish(&self, notebook: &Notebook, execution: Execution) -> Result<ExitCode, RunnerError> {
        let parameters = notebook.parameters()?;
        let out_of_time = Cause::Cluster {
            state: "TIMEOUT".to_owned(),
            job: job_of_this_process(),
            detail: "asked to stop before the job's limit".to_owned(),
        };
        let cause = match execution.stop {
            Some(Stop::Checkpoint) => execution.exceeded.or(Some(out_of_time)),
            _ => execution.exceeded,
        };
        let outcome = publish(
            notebook,
            &parameters,
            &self.work,
            &self.folder,
            execution.ended,
            cause,
            execution.stop == Some(Stop::TakenAway),
        )?;
        Ok(match outcome {
            Outcome::Published(result) if result.status == Status::Succeeded => ExitCode::Success,
            Outcome::Published(result) => {
                if let Some(cause) = result.cause {
                    note!("error: {cause}");
                }
                ExitCode::CellFailed
            }
            Outcome::Interrupted => {
                note!("taken away before it ended");
                ExitCode::Interrupted
            }
        })
    }
}

/// Who asked the program to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// The time limit is near.
    Checkpoint,
    /// The job is being taken away.
    TakenAway,
}

struct Execution {
    ended: Result<ExitStatus, ExecutorError>,
    exceeded: Option<Cause>,
    stop: Option<Stop>,
}

async fn execute(
    program: &Path,
    record: &ArrayRecord,
    target: &Target,
) -> Result<Execution, RunnerError> {
    let failed = |error: std::io::Error| ExecutorError::Start {
        program: program.to_owned(),
        reason: error.to_string(),
    };
    let mut checkpoint = signal(SignalKind::user_defined1()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let given = record.cores.or_else(cores_of_the_job);
    let threads =
        given.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let executor =
        LocalExecutor::start(program, &record.directory, threads, given.is_some()).await?;
    let (started, mut process) = watch::channel(None);
    let execution = executor.execute(&target.folder, &target.work.place, |process| {
        started.send_replace(Some(process));
    });
    let mut awaited = started.subscribe();
    let known = async move { *awaited.wait_for(Option::is_some).await.ok()? };
    let policy = record.policy();
    // Who cancels a job lets Slurm do it.
    let never = std::future::pending();
    let limited = within(&policy, never, known, execution);
    tokio::pin!(limited);
    let mut stop = None;
    let mut deadline: Option<Instant> = None;
    loop {
        tokio::select! {
            (ended, exceeded) = &mut limited => {
                if stop.is_none() && has_failed(&ended) {
                    // Slurm signals every process of a job, the program perhaps before us.
                    let late = timeout(LATE_SIGNAL, async {
                        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
                    });
                    stop = late.await.is_ok().then_some(Stop::TakenAway);
                }
                return Ok(Execution { ended, exceeded, stop });
            }
            _ = checkpoint.recv() => {
                stop.get_or_insert(Stop::Checkpoint);
            }
            _ = async { tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} } } => {
                stop.get_or_insert(Stop::TakenAway);
                deadline.get_or_insert_with(|| Instant::now() + GRACE);
            }
            // It was on its way when the signal came.
            Ok(()) = process.changed(), if stop.is_some() => {}
            () = sleep_until(deadline.unwrap_or_else(Instant::now).into()), if deadline.is_some() => {
                signal_group(*process.borrow_and_update(), libc::SIGKILL);
                deadline = Some(Instant::now() + Duration::from_secs(3600));
                continue;
            }
        }
        signal_group(*process.borrow_and_update(), libc::SIGINT);
    }
}

fn has_failed(ended: &Result<ExitStatus, ExecutorError>) -> bool {
    !matches!(
        ended,
        Ok(ExitStatus {
            exit_code: Some(exit_code::SUCCESS),
            ..
        })
    )
}

/// A number that Slurm tells by a variable.
fn variable(name: &'static str) -> Result<usize, SlurmError> {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(SlurmError::NoTask { variable: name })
}

fn cores_of_the_job() -> Option<usize> {
    variable("SLURM_CPUS_PER_TASK")
        .or_else(|_| variable("SLURM_CPUS_ON_NODE"))
        .ok()
}

/// As `squeue` names it.
fn job_of_this_process() -> String {
    let told = |name| std::env::var(name).unwrap_or_default();
    format!(
        "{}_{}",
        told("SLURM_ARRAY_JOB_ID"),
        told("SLURM_ARRAY_TASK_ID")
    )
}

/// The GPUs that Slurm gave to the job, if it gave some.
fn own_gpus() -> Option<Vec<String>> {
    std::env::var_os("SLURM_JOB_GPUS")?;
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok()?;
    Some(visible.split(',').map(str::to_owned).collect())
}
