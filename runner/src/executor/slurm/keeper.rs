//! The executor for Slurm: keeps the books of what is there.
//!
//! One task owns the books and does one thing at a time: it hands arrays over, looks how they
//! are, tells the dispatcher, and cancels. So a submission is whole or did not happen, whatever
//! is asked for meanwhile.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, sleep_until};

use super::answers::{ArrayId, JobState, TaskId};
use super::commands::{self, SlurmError};
use super::jobs::{LiveTask, take_stock};
use super::record::{ArrayRecord, TaskRecord};
use super::rhythm::Rhythm;
use super::submission::SlurmSweep;
use crate::error::RunnerError;
use crate::executor::{Executor, Halt, Outcome, Step, Steps, Work};

mod cancel;
mod halt;
mod handover;
mod look;

/// How long further attempts are waited for that go into the same array.
const GATHER: Duration = Duration::from_millis(100);

/// Makes attempts as tasks of Slurm's job arrays.
#[derive(Debug)]
pub struct SlurmExecutor {
    orders: UnboundedSender<Order>,
}

#[derive(Debug)]
enum Order {
    Submit(usize, Work, Steps),
    Cancel(String),
    Halt(Halt),
}

impl SlurmExecutor {
    /// Finds the jobs that an earlier runner left, and takes orders.
    ///
    /// # Errors
    /// When Slurm is not there or does not answer, or a record of its jobs is unreadable.
    pub async fn start(sweep: SlurmSweep) -> Result<Self, RunnerError> {
        let largest = usize::try_from(commands::largest_array().await?).unwrap_or(usize::MAX);
        let live = take_stock(&sweep.folder).await?;
        let (orders, inbox) = unbounded_channel();
        let keeper = Keeper {
            sweep: Arc::new(sweep),
            largest,
            steps: None,
            waiting: VecDeque::new(),
            in_doubt: None,
            in_flight: BTreeMap::new(),
            arrays: live.arrays,
            left_behind: live.trials,
            rhythm: Rhythm::begin(Instant::now()),
            may_submit: Instant::now(),
            halted: None,
            cancelled: HashSet::new(),
            trouble: false,
            told: HashSet::new(),
        };
        tokio::spawn(keeper.run(inbox));
        Ok(Self { orders })
    }
}

impl Executor for SlurmExecutor {
    /// Slurm decides; what waits there keeps its place in the queue.
    fn workers(&self) -> usize {
        usize::MAX
    }

    fn submit(&self, index: usize, work: Work, steps: &Steps) {
        // The keeper lives as long as this sender does.
        let _ = self.orders.send(Order::Submit(index, work, steps.clone()));
    }

    fn cancel(&self, trial: &str) {
        let _ = self.orders.send(Order::Cancel(trial.to_owned()));
    }

    fn halt(&self, halt: Halt) {
        let _ = self.orders.send(Order::Halt(halt));
    }
}

struct Keeper {
    sweep: Arc<SlurmSweep>,
    /// The most tasks of one array.
    largest: usize,
    steps: Option<Steps>,
    /// Not handed over yet, in order.
    waiting: VecDeque<(usize, Work)>,
    /// Handed over, but nobody knows whether Slurm took it.
    in_doubt: Option<(ArrayRecord, Vec<(usize, Work)>)>,
    in_flight: BTreeMap<TaskId, InFlight>,
    /// The arrays of these, and those of an earlier runner.
    arrays: BTreeMap<ArrayId, ArrayRecord>,
    /// What an earlier runner left in Slurm and the dispatcher did not ask for yet.
    left_behind: HashMap<String, LiveTask>,
    rhythm: Rhythm,
    /// Not before then: Slurm did not take the last array.
    may_submit: Instant,
    halted: Option<Halt>,
    /// Trials that are to be cancelled.
    cancelled: HashSet<String>,
    /// Slurm did not answer when it was last asked.
    trouble: bool,
    /// What was said once is not said again.
    told: HashSet<String>,
}

struct InFlight {
    index: usize,
    work: Work,
    state: Option<JobState>,
    reason: String,
    /// Since when Slurm says that it is over.
    over_since: Option<Instant>,
    /// Whether Slurm was asked to cancel it.
    cancelled: bool,
}

impl Keeper {
    async fn run(mut self, mut orders: UnboundedReceiver<Order>) {
        loop {
            let is_idle =
                self.waiting.is_empty() && self.in_flight.is_empty() && self.in_doubt.is_none();
            let next = self.rhythm.next();
            let order = tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => Some(order),
                    // The dispatcher is done.
                    None => return,
                },
                () = sleep_until(next.into()), if !is_idle => None,
            };
            match order {
                None => self.look().await,
                Some(order) => {
                    sleep(GATHER).await;
                    self.obey(order).await;
                    while let Ok(order) = orders.try_recv() {
                        self.obey(order).await;
                    }
                }
            }
            self.cancel_trials().await;
            self.submit().await;
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Submit(index, mut work, steps) => {
                self.steps = Some(steps);
                if self.halted.is_some() {
                    self.tell(index, Step::Done(Ok(Outcome::Interrupted)));
                } else if let Some(live) = self.left_behind.remove(&work.trial.id) {
                    work.attempt = live.attempt;
                    self.in_flight.insert(live.task, InFlight::new(index, work));
                } else {
                    self.waiting.push_back((index, work));
                }
            }
            Order::Halt(halt) if self.halted != Some(halt) => {
                self.halted = Some(halt);
                self.halt(halt).await;
            }
            Order::Cancel(trial) => {
                self.cancelled.insert(trial);
            }
            Order::Halt(_) => {}
        }
    }

    fn troubled(&mut self, error: &SlurmError) {
        if !std::mem::replace(&mut self.trouble, true) {
            self.say(format!("{error}; trying again"));
        }
    }

    fn say(&self, line: String) {
        self.tell(usize::MAX, Step::Said(line));
    }

    fn tell(&self, index: usize, step: Step) {
        if let Some(steps) = &self.steps {
            // The dispatcher outlives its attempts, except when the whole process is ending.
            let _ = steps.send((index, step));
        }
    }
}

impl InFlight {
    fn new(index: usize, work: Work) -> Self {
        Self {
            index,
            work,
            state: None,
            reason: String::new(),
            over_since: None,
            cancelled: false,
        }
    }

    fn record(&self) -> TaskRecord {
        TaskRecord {
            trial: self.work.trial.id.clone(),
            attempt: self.work.attempt,
        }
    }
}
