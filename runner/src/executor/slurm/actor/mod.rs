//! The executor for Slurm: an actor that owns the state of the sweep's jobs and does one thing at a
//! time. So a submission happens wholly or not at all, whatever else is asked for meanwhile.
//!
//! - [`poll`]: polls Slurm for the tasks in flight and reports those that finished;
//! - [`submit`]: submits job arrays, and finds out whether Slurm accepted them;
//! - [`cancel`]: cancels single trials;
//! - [`shut_down`]: cancels all jobs, or leaves them to the next runner.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, sleep_until};

use super::commands::{self, SlurmError};
use super::jobs::{LiveTask, list_jobs_and_update_records};
use super::parse::{ArrayId, JobState, TaskId};
use super::poll_interval::PollInterval;
use super::record::{ArrayRecord, TaskRecord};
use super::submission::SlurmSweep;
use crate::error::RunnerError;
use crate::executor::{
    AttemptOutcome, AttemptSpec, EventSender, Executor, ExecutorEvent, Shutdown,
};

mod cancel;
mod poll;
mod shut_down;
mod submit;

/// How long a command waits for further ones, so that attempts submitted together go into the same
/// array.
const BATCH_DELAY: Duration = Duration::from_millis(100);

/// Makes attempts as tasks of Slurm's job arrays.
#[derive(Debug)]
pub struct SlurmExecutor {
    commands: UnboundedSender<Command>,
}

#[derive(Debug)]
enum Command {
    Submit(Attempt),
    Cancel(String),
    ShutDown(Shutdown),
}

/// An attempt with the index under which its events are sent.
#[derive(Debug)]
struct Attempt {
    index: usize,
    spec: AttemptSpec,
}

impl SlurmExecutor {
    /// Finds the jobs of an earlier runner of this sweep and starts the actor, which reports to
    /// `events`.
    ///
    /// # Errors
    /// When Slurm cannot be reached, or the record of a job array is unreadable.
    pub async fn start(sweep: SlurmSweep, events: EventSender) -> Result<Self, RunnerError> {
        let max_array_size = commands::max_array_size().await?;
        let live = list_jobs_and_update_records(&sweep.folder).await?;
        let (commands, inbox) = unbounded_channel();
        let actor = SlurmActor {
            sweep: Arc::new(sweep),
            events,
            max_array_size,
            waiting: VecDeque::new(),
            unconfirmed: None,
            in_flight: BTreeMap::new(),
            arrays: live.arrays,
            left_behind: live.trials,
            poll_interval: PollInterval::new(Instant::now()),
            submit_after: Instant::now(),
            shutdown: None,
            cancelled: HashSet::new(),
            is_unreachable: false,
            reported: HashSet::new(),
        };
        tokio::spawn(actor.run(inbox));
        Ok(Self { commands })
    }

    fn send(&self, command: Command) {
        // Fails only if the actor panicked: it runs for as long as this sender exists.
        let _ = self.commands.send(command);
    }
}

impl Executor for SlurmExecutor {
    fn workers(&self) -> Option<usize> {
        None
    }

    fn submit(&self, index: usize, spec: AttemptSpec) {
        self.send(Command::Submit(Attempt { index, spec }));
    }

    fn cancel(&self, trial: &str) {
        self.send(Command::Cancel(trial.to_owned()));
    }

    fn shut_down(&self, shutdown: Shutdown) {
        self.send(Command::ShutDown(shutdown));
    }
}

struct SlurmActor {
    sweep: Arc<SlurmSweep>,
    events: EventSender,
    /// The most tasks of one array: Slurm's limit, or less after Slurm had no room.
    max_array_size: usize,
    /// Attempts that are not submitted yet, in order.
    waiting: VecDeque<Attempt>,
    /// An array of which it is not known whether Slurm accepted it.
    unconfirmed: Option<Batch>,
    in_flight: BTreeMap<TaskId, InFlight>,
    /// The records of arrays with tasks in flight or left behind.
    arrays: BTreeMap<ArrayId, ArrayRecord>,
    /// Live tasks of an earlier runner for which the dispatcher has not asked yet, by trial.
    left_behind: HashMap<String, LiveTask>,
    poll_interval: PollInterval,
    /// No array is submitted before this instant: Slurm did not accept the last one.
    submit_after: Instant,
    shutdown: Option<Shutdown>,
    /// Trials that are to be cancelled.
    cancelled: HashSet<String>,
    /// Whether the last command of Slurm failed in a way that may pass.
    is_unreachable: bool,
    /// Slurm's reasons and unknown states that the user was told about, so that each is reported
    /// once.
    reported: HashSet<String>,
}

/// The attempts of one job array with its record.
struct Batch {
    record: ArrayRecord,
    attempts: Vec<Attempt>,
}

/// A task that was submitted and has not finished.
struct InFlight {
    attempt: Attempt,
    /// The state at the last poll; `None` if Slurm did not list the task.
    state: Option<JobState>,
    /// Why the task is in that state, in Slurm's word.
    reason: String,
    /// Since when Slurm has reported the task as ended, or has not listed it.
    ended_since: Option<Instant>,
    /// Whether Slurm was asked to cancel the task because its trial was cancelled.
    is_cancelled: bool,
}

impl SlurmActor {
    async fn run(mut self, mut commands: UnboundedReceiver<Command>) {
        loop {
            let is_idle =
                self.waiting.is_empty() && self.in_flight.is_empty() && self.unconfirmed.is_none();
            let next_poll = self.poll_interval.next_poll();
            let command = tokio::select! {
                command = commands.recv() => match command {
                    Some(command) => Some(command),
                    // The executor was dropped: the sweep is over.
                    None => return,
                },
                () = sleep_until(next_poll.into()), if !is_idle => None,
            };
            match command {
                None => self.poll().await,
                Some(command) => {
                    sleep(BATCH_DELAY).await;
                    self.handle(command).await;
                    while let Ok(command) = commands.try_recv() {
                        self.handle(command).await;
                    }
                }
            }
            self.cancel_trials().await;
            self.submit_waiting().await;
        }
    }

    async fn handle(&mut self, command: Command) {
        match command {
            Command::Submit(mut attempt) => {
                if self.shutdown.is_some() {
                    self.send_finished(attempt.index, Ok(AttemptOutcome::Interrupted));
                } else if let Some(live) = self.left_behind.remove(&attempt.spec.trial.id) {
                    // An earlier runner submitted this trial: follow its job.
                    attempt.spec.attempt = live.attempt;
                    self.in_flight.insert(live.task, InFlight::new(attempt));
                } else {
                    self.waiting.push_back(attempt);
                }
            }
            Command::Cancel(trial) => {
                self.cancelled.insert(trial);
            }
            Command::ShutDown(shutdown) => {
                if self.shutdown != Some(shutdown) {
                    self.shutdown = Some(shutdown);
                    self.shut_down(shutdown).await;
                }
            }
        }
    }

    /// The arrays that have tasks in flight.
    fn arrays_in_flight(&self) -> BTreeSet<ArrayId> {
        self.in_flight.keys().map(|task| task.array).collect()
    }

    /// Reports that Slurm does not answer, once until it answers again.
    fn report_unreachable(&mut self, error: &SlurmError) {
        if !std::mem::replace(&mut self.is_unreachable, true) {
            self.send_notice(format!("{error}; trying again"));
        }
    }

    fn send_finished(&self, index: usize, outcome: Result<AttemptOutcome, RunnerError>) {
        self.send(ExecutorEvent::Finished { index, outcome });
    }

    fn send_notice(&self, line: String) {
        self.send(ExecutorEvent::Notice(line));
    }

    fn send(&self, event: ExecutorEvent) {
        // Without a receiver, the whole runner is ending.
        let _ = self.events.send(event);
    }
}

impl InFlight {
    fn new(attempt: Attempt) -> Self {
        Self {
            attempt,
            state: None,
            reason: String::new(),
            ended_since: None,
            is_cancelled: false,
        }
    }

    fn record(&self) -> TaskRecord {
        TaskRecord {
            trial: self.attempt.spec.trial.id.clone(),
            attempt: self.attempt.spec.attempt,
        }
    }
}
