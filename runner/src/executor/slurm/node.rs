//! `offmodel attempt`: makes one attempt on its node, inside a task of a job array.
//!
//! The attempt is run and supervised as on this machine, so that results do not depend on the
//! executor. Two kinds of signals arrive:
//!
//! - `SIGUSR1`, some time before the job's time limit: the program is interrupted so that it can save
//!   its work, and the attempt has failed for lack of time.
//! - `SIGTERM` or `SIGINT`: Slurm takes the job away (`scancel`, preemption). The attempt publishes no
//!   result, and the runner learns from Slurm why.

use std::path::{Path, PathBuf};
use std::time::Duration;

use offmodel_events::batch::{ExitStatus, exit_code};
use offmodel_program::Notebook;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::commands::SlurmError;
use super::record::{ArrayRecord, TaskRecord};
use crate::error::RunnerError;
use crate::executor::process::{StopRequest, StopRequests, supervise};
use crate::executor::publish::EndedAttempt;
use crate::executor::{Allocation, AttemptOutcome, AttemptSpec, ExecutorError, ForkServer};
use crate::exit_code::ExitCode;
use crate::store::{FailureReason, Machine, Standing, Status, SweepFolder};
use crate::sweep::Trial;
use crate::terminal::errln;

/// How much later a signal may reach `offmodel attempt` than the program, when Slurm signals both.
const SIGNAL_DELAY: Duration = Duration::from_secs(1);

/// Makes the attempt of this task.
///
/// # Errors
/// When this process is no task of the array, or the attempt cannot be made or published.
pub fn run(record_path: &Path) -> Result<ExitCode, RunnerError> {
    let record = ArrayRecord::read(record_path)?;
    let index = number_in_variable("SLURM_ARRAY_TASK_ID")?;
    // Slurm sets this variable only once it has requeued the task.
    let requeues = number_in_variable("SLURM_RESTART_COUNT").unwrap_or(0);
    let task = record.tasks.get(index).ok_or_else(|| SlurmError::Record {
        path: record_path.to_owned(),
        reason: format!(
            "it has {} tasks, none of number {index}",
            record.tasks.len()
        ),
    })?;
    // `runs/SWEEP/slurm/ARRAY.json`
    let sweep = record_path.ancestors().nth(2).unwrap_or(Path::new("/"));
    let folder = SweepFolder::unlocked(sweep);
    if record.closed {
        errln!("the runner gave this array up: nothing to do");
        return Ok(ExitCode::Success);
    }
    match folder.state(&task.trial).standing {
        Standing::Succeeded(_) => {
            errln!("trial {} is done already", task.trial);
            return Ok(ExitCode::Success);
        }
        Standing::Cancelled(_) => {
            errln!("trial {} is cancelled", task.trial);
            return Ok(ExitCode::Success);
        }
        _ => {}
    }
    let attempt = NodeAttempt::begin(&folder, &record, task, requeues)?;
    let notebook = Notebook::read(&record_path.with_extension("ipynb"))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .map_err(|source| RunnerError::Runtime { source })?;
    let program = record_path.with_file_name(&record.program);
    let execution = runtime.block_on(attempt.execute(&program, &record))?;
    attempt.publish(&notebook, execution)
}

/// The attempt that this task makes.
struct NodeAttempt {
    folder: PathBuf,
    spec: AttemptSpec,
    allocation: Allocation,
}

/// An attempt whose process has ended.
struct Execution {
    exit: Result<ExitStatus, ExecutorError>,
    /// The limit that the attempt exceeded.
    stop_reason: Option<FailureReason>,
    /// The first kind of signal that came.
    signal: Option<JobSignal>,
}

/// A kind of signal that Slurm sends to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum JobSignal {
    /// The time limit is near.
    Checkpoint,
    /// The job is being taken away.
    TakenAway,
}

impl NodeAttempt {
    /// Takes the folder that the runner prepared. A requeued task creates the folder of a further
    /// attempt, so that what the earlier one wrote stays as it is.
    fn begin(
        sweep: &SweepFolder,
        record: &ArrayRecord,
        task: &TaskRecord,
        requeues: usize,
    ) -> Result<Self, RunnerError> {
        let prepared = sweep.attempt(&task.trial, task.attempt);
        let mut spec = sweep
            .spec(&task.trial, task.attempt)
            .ok_or_else(|| RunnerError::Read {
                path: prepared.join("spec.json"),
                reason: "it is no attempt's spec".to_owned(),
            })?;
        spec.provenance.move_to(Machine::this());
        let folder = if requeues == 0 {
            spec.write(&prepared)?;
            prepared
        } else {
            spec.attempt = task.attempt + requeues;
            let folder = sweep.create_attempt(&spec)?;
            errln!(
                "started again: attempt {} of trial {}",
                spec.attempt,
                task.trial
            );
            folder
        };
        if record.offmodel != env!("CARGO_PKG_VERSION") {
            errln!(
                "submitted by offmodel {}, run by {}",
                record.offmodel,
                env!("CARGO_PKG_VERSION")
            );
        }
        Ok(Self {
            folder,
            spec: AttemptSpec {
                trial: Trial {
                    id: spec.trial,
                    given: spec.parameters,
                    parameters: spec.all_parameters,
                    data: spec.data,
                    priority: 0,
                },
                attempt: spec.attempt,
                program: spec.provenance.program,
            },
            // Slurm has bound the job to its cores already.
            allocation: Allocation {
                cores: Vec::new(),
                gpus: gpus_of_job(),
            },
        })
    }

    async fn execute(
        &self,
        program: &Path,
        record: &ArrayRecord,
    ) -> Result<Execution, RunnerError> {
        let mut signals = JobSignals::listen().map_err(|source| RunnerError::Signals { source })?;
        let cores = record.cores.or_else(cores_of_job);
        let threads =
            cores.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let server =
            ForkServer::start(program, &record.directory, threads, cores.is_some()).await?;
        let (started, group) = oneshot::channel();
        let (exit, stop_reason) = supervise(
            record.limits(),
            async { group.await.ok() },
            &mut signals,
            server.execute(&self.folder, &self.allocation, started),
        )
        .await;
        if signals.first.is_none() && has_failed(&exit) {
            // Slurm signals every process of a job, the program perhaps before this one. A failure
            // that a signal explains is no failure of the attempt.
            let _ = timeout(SIGNAL_DELAY, signals.next_taken_away()).await;
        }
        Ok(Execution {
            exit,
            stop_reason,
            signal: signals.first,
        })
    }

    fn publish(&self, notebook: &Notebook, execution: Execution) -> Result<ExitCode, RunnerError> {
        let parameters = notebook.parameters()?;
        let stop_reason = execution.stop_reason.or_else(|| {
            (execution.signal == Some(JobSignal::Checkpoint)).then(|| FailureReason::Cluster {
                state: "TIMEOUT".to_owned(),
                job: own_job(),
                detail: "asked to stop before the job's limit".to_owned(),
            })
        });
        let ended = EndedAttempt {
            spec: &self.spec,
            allocation: &self.allocation,
            folder: &self.folder,
            exit: execution.exit,
            stop_reason,
            is_stopping: execution.signal == Some(JobSignal::TakenAway),
        };
        Ok(match ended.publish(notebook, &parameters)? {
            AttemptOutcome::Published(result) if result.status == Status::Succeeded => {
                ExitCode::Success
            }
            AttemptOutcome::Published(result) => {
                if let Some(cause) = result.cause {
                    errln!("error: {cause}");
                }
                ExitCode::CellFailed
            }
            AttemptOutcome::Interrupted => {
                errln!("taken away before it ended");
                ExitCode::Interrupted
            }
        })
    }
}

/// The signals that Slurm sends to this job.
struct JobSignals {
    checkpoint: Signal,
    terminate: Signal,
    interrupt: Signal,
    first: Option<JobSignal>,
}

impl JobSignals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            checkpoint: signal(SignalKind::user_defined1())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            first: None,
        })
    }

    /// Waits for a signal that takes the job away.
    async fn next_taken_away(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        self.first.get_or_insert(JobSignal::TakenAway);
    }
}

impl StopRequests for JobSignals {
    async fn next(&mut self) -> StopRequest {
        let is_checkpoint = tokio::select! {
            _ = self.checkpoint.recv() => true,
            _ = self.terminate.recv() => false,
            _ = self.interrupt.recv() => false,
        };
        if is_checkpoint {
            self.first.get_or_insert(JobSignal::Checkpoint);
            // No deadline: the program may use the time until the job's limit.
            StopRequest::Interrupt
        } else {
            self.first.get_or_insert(JobSignal::TakenAway);
            StopRequest::Terminate
        }
    }
}

fn has_failed(exit: &Result<ExitStatus, ExecutorError>) -> bool {
    !matches!(
        exit,
        Ok(ExitStatus {
            exit_code: Some(exit_code::SUCCESS),
            ..
        })
    )
}

/// A number in an environment variable that Slurm sets.
fn number_in_variable(name: &'static str) -> Result<usize, SlurmError> {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or(SlurmError::NoTask { variable: name })
}

fn cores_of_job() -> Option<usize> {
    number_in_variable("SLURM_CPUS_PER_TASK")
        .or_else(|_| number_in_variable("SLURM_CPUS_ON_NODE"))
        .ok()
}

/// The job of this process, as `squeue` prints it.
fn own_job() -> String {
    let variable = |name| std::env::var(name).unwrap_or_default();
    format!(
        "{}_{}",
        variable("SLURM_ARRAY_JOB_ID"),
        variable("SLURM_ARRAY_TASK_ID")
    )
}

/// The GPUs that Slurm gave to the job, if any.
fn gpus_of_job() -> Option<Vec<String>> {
    std::env::var_os("SLURM_JOB_GPUS")?;
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok()?;
    Some(visible.split(',').map(str::to_owned).collect())
}
