use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use offmodel_cells::parameters::Parameter;
use offmodel_events::batch::ExitStatus;
use offmodel_program::Notebook;
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;

use super::limits::within;
use super::{Executor, ExecutorError, Halt, LocalExecutor, Place, Slots, Steps, executed};
use crate::error::RunnerError;
use crate::store::{
    AttemptResult, AttemptSpec, Cause, Provenance, RESULT_VERSION, Status, SweepFolder,
    write_atomically,
};
use crate::sweep::{Policy, Trial};

/// What all attempts of a sweep share.
#[derive(Debug)]
pub struct Context {
    /// Where results go.
    pub folder: Arc<SweepFolder>,
    /// What is run.
    pub notebook: Notebook,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
    /// Where code and environment came from.
    pub provenance: Provenance,
    /// Limits of time and memory, and retries.
    pub policy: Policy,
    /// Who runs it.
    pub executor: LocalExecutor,
    /// Where attempts run, as many at once as there are places.
    pub slots: Slots,
    /// True once the sweep is to stop.
    pub stopping: watch::Receiver<bool>,
    /// The trials that are to be cancelled.
    pub cancelled: watch::Receiver<HashSet<String>>,
}

impl Context {
    /// Waits until a trial is to be cancelled.
    async fn cancelled(&self, trial: &str) {
        let mut cancelled = self.cancelled.clone();
        if cancelled
            .wait_for(|trials| trials.contains(trial))
            .await
            .is_err()
        {
            // Nobody is left who could ask for it.
            std::future::pending().await
        }
    }
}

/// Attempts made on this machine.
#[derive(Debug)]
pub struct LocalAttempts {
    context: Arc<Context>,
    workers: usize,
    stop: watch::Sender<bool>,
    cancel: watch::Sender<HashSet<String>>,
}

impl LocalAttempts {
    /// With as many at once as `context` has slots; `stop` sends to its `stopping`, `cancel` to its
    /// `cancelled`.
    pub fn new(
        context: Arc<Context>,
        workers: usize,
        stop: watch::Sender<bool>,
        cancel: watch::Sender<HashSet<String>>,
    ) -> Self {
        Self {
            context,
            workers,
            stop,
            cancel,
        }
    }
}

impl Executor for LocalAttempts {
    fn workers(&self) -> usize {
        self.workers
    }

    fn submit(&self, index: usize, work: Work, steps: &Steps) {
        tokio::spawn(attempt(
            Arc::clone(&self.context),
            index,
            work,
            steps.clone(),
        ));
    }

    fn cancel(&self, trial: &str) {
        self.cancel
            .send_if_modified(|trials| trials.insert(trial.to_owned()));
    }

    fn halt(&self, halt: Halt) {
        if halt != Halt::Withdrawn {
            // Attempts that wait for a slot look at it before they start.
            self.stop.send_replace(true);
        }
    }
}

/// One attempt to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Work {
    /// The trial.
    pub trial: Trial,
    /// The attempt's number.
    pub attempt: usize,
    /// The name of the program.
    pub program: String,
    /// The part of this machine that it runs on; known once it begins.
    pub place: Place,
}

/// What an attempt tells the dispatcher.
#[derive(Debug)]
pub enum Step {
    /// Its process runs.
    Started {
        /// The process, leader of its group.
        process: i32,
    },
    /// Its process ended.
    Ended,
    /// Something that the user should know.
    Said(String),
    /// The pause before its next attempt is over.
    Due,
    /// Nothing more will come.
    Done(Result<Outcome, RunnerError>),
}

/// What an attempt became.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// Its result is published.
    Published(Box<AttemptResult>),
    /// It was stopped; it has no result, and the trial will be tried again.
    Interrupted,
}

/// The life of one attempt: folder, slot, process, result. Every step is sent with `index`.
pub async fn attempt(context: Arc<Context>, index: usize, work: Work, steps: Steps) {
    // The dispatcher outlives its attempts, except when the whole process is ending.
    let send = |step| drop(steps.send((index, step)));
    let outcome = run(&context, work, &send).await;
    send(Step::Done(outcome));
}

async fn run(
    context: &Arc<Context>,
    mut work: Work,
    send: &impl Fn(Step),
) -> Result<Outcome, RunnerError> {
    loop {
        let (folder, ended, exceeded) = match execute(context, &mut work, send).await? {
            Execution::Withdrawn => return Ok(Outcome::Interrupted),
            Execution::Cancelled { folder } => {
                let result = result(&work, Some(Cause::Cancelled), None, Vec::new());
                result.publish(&folder)?;
                return Ok(Outcome::Published(Box::new(result)));
            }
            Execution::Ended {
                folder,
                ended,
                exceeded,
            } => (folder, ended, exceeded),
        };
        let stopping = *context.stopping.borrow();
        if let (Err(ExecutorError::Died { .. }), false) = (&ended, stopping) {
            // Nothing that this attempt did: the process that starts attempts is gone, for example
            // because the system ran out of memory and chose it.
            context.executor.restart().await?;
            work.attempt += 1;
            continue;
        }
        let shared = Arc::clone(context);
        return blocking(move || {
            let (notebook, parameters) = (&shared.notebook, &shared.parameters);
            publish(
                notebook, parameters, &work, &folder, ended, exceeded, stopping,
            )
        })
        .await;
    }
}

/// What became of the process of an attempt.
enum Execution {
    /// It was not started any more.
    Withdrawn,
    /// It was cancelled before it was started.
    Cancelled { folder: PathBuf },
    /// It came to an end.
    Ended {
        folder: PathBuf,
        ended: Result<ExitStatus, ExecutorError>,
        exceeded: Option<Cause>,
    },
}

async fn execute(
    context: &Arc<Context>,
    work: &mut Work,
    send: &impl Fn(Step),
) -> Result<Execution, RunnerError> {
    let mut spec = AttemptSpec::new(
        work.trial.id.clone(),
        work.attempt,
        work.trial.given.clone(),
        work.trial.parameters.clone(),
        context.provenance.clone(),
    );
    spec.data.clone_from(&work.trial.data);
    let shared = Arc::clone(context);
    let prepare = blocking(move || shared.folder.create_attempt(&spec));
    // Prepared while others run, so that the disk keeps no processor waiting; queued for a slot
    // at the same time, so that trials run in their order.
    let slot = async {
        tokio::select! {
            biased;
            () = context.cancelled(&work.trial.id) => None,
            slot = context.slots.acquire() => Some(slot),
        }
    };
    let (slot, prepared) = tokio::join!(slot, prepare);
    let folder = prepared?;
    if *context.stopping.borrow() {
        // It never began: nothing in it is worth keeping.
        let _ = std::fs::remove_dir_all(&folder);
        return Ok(Execution::Withdrawn);
    }
    let Some(slot) = slot else {
        return Ok(Execution::Cancelled { folder });
    };
    work.place = slot.place.clone();
    let (tell, told) = oneshot::channel();
    let execution = context.executor.execute(&folder, &slot.place, |process| {
        send(Step::Started { process });
        // Nobody asks any more once it has ended.
        let _ = tell.send(process);
    });
    let process = async { told.await.ok() };
    let cancelled = context.cancelled(&work.trial.id);
    let (ended, exceeded) = within(&context.policy, cancelled, process, execution).await;
    drop(slot);
    send(Step::Ended);
    Ok(Execution::Ended {
        folder,
        ended,
        exceeded,
    })
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RunnerError> + Send + 'static,
) -> Result<T, RunnerError> {
    spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(RunnerError::Write {
            path: PathBuf::new(),
            source: std::io::Error::other(error),
        })
    })
}

/// Writes the executed notebook, then the result. An attempt that failed while it was `stopping`
/// has none.
pub(super) fn publish(
    notebook: &Notebook,
    parameters: &[Parameter],
    work: &Work,
    folder: &Path,
    ended: Result<ExitStatus, ExecutorError>,
    exceeded: Option<Cause>,
    stopping: bool,
) -> Result<Outcome, RunnerError> {
    let (ending, executed) = match ended {
        Ok(ending) => {
            let given = &work.trial.given;
            let executed = executed(folder, &ending, notebook, parameters, given)?;
            (ending, executed)
        }
        Err(ExecutorError::Refused { reason }) if !stopping => {
            let result = result(work, Some(Cause::NotStarted { reason }), None, Vec::new());
            result.publish(folder)?;
            return Ok(Outcome::Published(Box::new(result)));
        }
        Err(_) if stopping => return Ok(Outcome::Interrupted),
        Err(error) => return Err(error.into()),
    };
    write_atomically(&folder.join("out.ipynb"), executed.notebook.as_bytes())?;
    if stopping && executed.cause.is_some() && exceeded != Some(Cause::Cancelled) {
        return Ok(Outcome::Interrupted);
    }
    // Whatever it said when it was ended, the limit is why. One that was faster than the signal
    // succeeded.
    let cause = executed.cause.map(|cause| exceeded.unwrap_or(cause));
    let result = result(work, cause, Some(&ending), executed.frames);
    result.publish(folder)?;
    Ok(Outcome::Published(Box::new(result)))
}

/// Records that a trial was cancelled which nobody runs: in the attempt that was interrupted, or in
/// one that never began.
///
/// # Errors
/// When it cannot be written.
pub fn record_cancelled(folder: &SweepFolder, trial: &Trial) -> Result<(), RunnerError> {
    let work = Work {
        trial: trial.clone(),
        attempt: folder.state(&trial.id).attempts.max(1),
        program: String::new(),
        place: Place::default(),
    };
    let attempt = folder.attempt(&trial.id, work.attempt);
    std::fs::create_dir_all(&attempt).map_err(|source| RunnerError::Write {
        path: attempt.clone(),
        source,
    })?;
    result(&work, Some(Cause::Cancelled), None, Vec::new()).publish(&attempt)
}

pub(super) fn result(
    work: &Work,
    cause: Option<Cause>,
    ending: Option<&ExitStatus>,
    frames: Vec<String>,
) -> AttemptResult {
    let seconds = ending.map_or(0.0, |ending| ending.seconds);
    let ended = Utc::now();
    let started = chrono::Duration::try_milliseconds((seconds * 1000.0) as i64)
        .and_then(|duration| ended.checked_sub_signed(duration));
    let told = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    AttemptResult {
        version: RESULT_VERSION,
        trial: work.trial.id.clone(),
        attempt: work.attempt,
        status: match cause {
            None => Status::Succeeded,
            Some(Cause::Cancelled) => Status::Cancelled,
            Some(_) => Status::Failed,
        },
        cause,
        program: (!work.program.is_empty()).then(|| work.program.clone()),
        started: started.map(told),
        ended: told(ended),
        seconds,
        peak_memory: ending.map_or(0, |ending| ending.peak_memory),
        cores: work.place.cores.clone(),
        gpus: work.place.gpus.clone().unwrap_or_default(),
        frames,
    }
}
