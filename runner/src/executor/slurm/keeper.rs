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
use super::publication::{latest_result, publish_lost};
use super::record::{ArrayRecord, TaskRecord};
use super::rhythm::Rhythm;
use super::submission::{SlurmSweep, WhenStopped, hand_over, prepare, remove_unbegun, take_back};
use super::verdict::{Seen, Verdict, judge};
use crate::error::RunnerError;
use crate::executor::attempt::blocking;
use crate::executor::{Executor, Halt, Outcome, Step, Steps, Work};
use crate::store::AttemptResult;

/// How long further attempts are waited for that go into the same array.
const GATHER: Duration = Duration::from_millis(100);

/// Reasons for waiting that are no news.
const USUAL_REASONS: [&str; 7] = [
    "",
    "BeginTime",
    "Dependency",
    "JobArrayTaskLimit",
    "Priority",
    "Resources",
    "Cleaning",
];

/// Makes attempts as tasks of Slurm's job arrays.
#[derive(Debug)]
pub struct SlurmExecutor {
    orders: UnboundedSender<Order>,
}

#[derive(Debug)]
enum Order {
    Submit(usize, Work, Steps),
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
            Order::Halt(_) => {}
        }
    }

    /// Hands over what there is room for.
    async fn submit(&mut self) {
        while self.halted.is_none()
            && self.in_doubt.is_none()
            && self.may_submit <= Instant::now()
            && !self.waiting.is_empty()
        {
            let most = self.sweep.policy.slurm.max_queued.unwrap_or(usize::MAX);
            let room = most.saturating_sub(self.in_flight.len());
            let count = room.min(self.largest).min(self.waiting.len());
            if count == 0 {
                return;
            }
            let batch: Vec<(usize, Work)> = self.waiting.drain(..count).collect();
            let work = batch.iter().map(|(_, work)| work.clone()).collect();
            match prepare(&self.sweep, work).await {
                Ok(record) => self.hand_over(record, batch).await,
                Err(error) => self.fail(batch, error),
            }
        }
    }

    async fn hand_over(&mut self, record: ArrayRecord, batch: Vec<(usize, Work)>) {
        let others: Vec<ArrayId> = self
            .in_flight
            .keys()
            .map(|task| task.array)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect();
        match hand_over(&self.sweep, &record, &others).await {
            Ok(job) => self.adopt(record, job, batch),
            Err(error @ SlurmError::Full { .. }) => {
                take_back(&self.sweep, &record);
                // A smaller array may still fit.
                self.largest = (batch.len() / 2).max(1);
                self.put_back(batch);
                self.pause_submissions(&error);
            }
            Err(error) if error.is_passing() => {
                self.in_doubt = Some((record, batch));
                self.pause_submissions(&error);
            }
            Err(error) => {
                take_back(&self.sweep, &record);
                self.fail(batch, error.into());
            }
        }
    }

    fn adopt(&mut self, mut record: ArrayRecord, job: ArrayId, batch: Vec<(usize, Work)>) {
        record.job = Some(job);
        let written = record.write(&self.sweep.folder);
        for (element, (index, work)) in batch.into_iter().enumerate() {
            // An array has fewer tasks than 32 bits count.
            let element = u32::try_from(element).unwrap_or(u32::MAX);
            let task = TaskId {
                array: job,
                index: element,
            };
            self.in_flight.insert(task, InFlight::new(index, work));
        }
        let tasks = record.tasks.len();
        self.arrays.insert(job, record);
        self.say(format!("handed {tasks} trials to Slurm as job {job}"));
        self.trouble = false;
        self.rhythm.hurry(Instant::now());
        if let Err(error) = written {
            // It is found by its name by the next runner; this one cannot go on.
            let first = self.in_flight.iter().find(|(task, _)| task.array == job);
            if let Some(task) = first.map(|(task, _)| *task)
                && let Some(flight) = self.in_flight.remove(&task)
            {
                self.tell(flight.index, Step::Done(Err(error)));
            }
        }
    }

    /// Finds out whether Slurm took an array although `sbatch` failed; if not, once more.
    async fn resolve_doubt(&mut self) {
        let Some((record, batch)) = self.in_doubt.take() else {
            return;
        };
        match commands::queue_by_name(&record.name).await {
            Err(error) => {
                self.in_doubt = Some((record, batch));
                self.troubled(&error);
            }
            Ok(found) => match found.iter().map(|answer| answer.task.array).max() {
                Some(job) => self.adopt(record, job, batch),
                None => self.hand_over(record, batch).await,
            },
        }
    }

    /// Looks how everything in flight is, and tells what is over.
    async fn look(&mut self) {
        if self.may_submit <= Instant::now() {
            self.resolve_doubt().await;
        }
        let now = Instant::now();
        if self.in_flight.is_empty() {
            self.rhythm.looked(now, false);
            return;
        }
        let answered = self.ask().await;
        let candidates: Vec<(TaskId, TaskRecord)> = self
            .in_flight
            .iter()
            .filter(|(_, flight)| !answered || flight.state != Some(JobState::Waiting))
            .map(|(task, flight)| (*task, flight.record()))
            .collect();
        let folder = Arc::clone(&self.sweep.folder);
        let results = blocking(move || {
            Ok(candidates
                .into_iter()
                .filter_map(|(task, record)| Some((task, latest_result(&folder, &record)?)))
                .collect::<HashMap<TaskId, AttemptResult>>())
        });
        let mut results = results.await.unwrap_or_default();
        let verdicts: Vec<(TaskId, Verdict)> = self
            .in_flight
            .iter()
            .map(|(task, flight)| (*task, flight.judge(answered, results.remove(task))))
            .filter(|(_, verdict)| *verdict != Verdict::Open)
            .collect();
        let something_new = !verdicts.is_empty();
        self.settle(verdicts).await;
        self.close_arrays();
        let is_ending = self
            .in_flight
            .values()
            .any(|flight| flight.over_since.is_some());
        self.rhythm
            .looked(Instant::now(), something_new || is_ending);
    }

    /// Asks Slurm for the states of everything in flight; false if nobody answers.
    async fn ask(&mut self) -> bool {
        let arrays: HashSet<ArrayId> = self.in_flight.keys().map(|task| task.array).collect();
        let arrays: Vec<ArrayId> = arrays.into_iter().collect();
        let answers = match commands::queue(&arrays).await {
            Ok(answers) => answers,
            Err(error) => {
                self.troubled(&error);
                return false;
            }
        };
        if std::mem::take(&mut self.trouble) {
            self.say("Slurm answers again".to_owned());
        }
        let mut answers: HashMap<TaskId, (JobState, String)> = answers
            .into_iter()
            .map(|answer| (answer.task, (answer.state, answer.reason)))
            .collect();
        for (task, flight) in &mut self.in_flight {
            let (state, reason) = match answers.remove(task) {
                Some((state, reason)) => (Some(state), reason),
                None => (None, String::new()),
            };
            (flight.state, flight.reason) = (state, reason);
            if flight.state.as_ref().is_none_or(JobState::is_ended) {
                flight.over_since.get_or_insert_with(Instant::now);
            } else {
                flight.over_since = None;
            }
        }
        self.tell_oddities();
        true
    }

    async fn settle(&mut self, verdicts: Vec<(TaskId, Verdict)>) {
        let lost: Vec<ArrayId> = verdicts
            .iter()
            .filter(|(_, verdict)| *verdict == Verdict::Lost(None))
            .map(|(task, _)| task.array)
            .collect();
        let mut remembered = HashMap::new();
        if !lost.is_empty() {
            for answer in commands::accounting(&lost).await {
                remembered.insert(answer.task, (answer.state, answer.reason));
            }
        }
        for (task, verdict) in verdicts {
            let Some(flight) = self.in_flight.remove(&task) else {
                continue;
            };
            let outcome = match verdict {
                Verdict::Open => continue,
                Verdict::Published(result) => Ok(Outcome::Published(result)),
                Verdict::Lost(word) => {
                    let (word, reason) = match (word, remembered.remove(&task)) {
                        (None, Some((JobState::Ended(word), reason))) => (Some(word), reason),
                        (word, _) => (word, flight.reason.clone()),
                    };
                    self.lost(task, &flight, word, reason).await
                }
            };
            self.tell(flight.index, Step::Done(outcome));
        }
    }

    /// A task that is over and left no result: cancelled by us, or a failure.
    async fn lost(
        &self,
        task: TaskId,
        flight: &InFlight,
        word: Option<&'static str>,
        reason: String,
    ) -> Result<Outcome, RunnerError> {
        if word == Some("CANCELLED") && self.halted.is_some() {
            remove_unbegun(&self.sweep.folder, &flight.record());
            return Ok(Outcome::Interrupted);
        }
        let log = self
            .arrays
            .get(&task.array)
            .map(|record| record.file(&self.sweep.folder, &format!("-{}.log", task.index)));
        let folder = Arc::clone(&self.sweep.folder);
        let work = flight.work.clone();
        blocking(move || publish_lost(&folder, &work, task, word, &reason, log.as_deref()))
            .await
            .map(|result| Outcome::Published(Box::new(result)))
    }

    /// Arrays of which nothing is in flight any more are over, unless tasks of an earlier runner
    /// go on in them that nobody asked for.
    fn close_arrays(&mut self) {
        let left_behind: HashSet<ArrayId> = self
            .left_behind
            .values()
            .map(|live| live.task.array)
            .collect();
        let in_flight: HashSet<ArrayId> = self.in_flight.keys().map(|task| task.array).collect();
        let over: Vec<ArrayId> = self
            .arrays
            .keys()
            .filter(|array| !left_behind.contains(array) && !in_flight.contains(array))
            .copied()
            .collect();
        for array in over {
            if let Some(mut record) = self.arrays.remove(&array) {
                record.closed = true;
                // The next runner finds out as well.
                let _ = record.write(&self.sweep.folder);
            }
        }
    }

    async fn halt(&mut self, halt: Halt) {
        let mut not_begun: Vec<(usize, Work)> = self.waiting.drain(..).collect();
        if let Some((record, batch)) = self.in_doubt.take() {
            // Whether Slurm took it is found out by the next runner, by its name.
            drop(record);
            not_begun.extend(batch);
        }
        for (index, _) in not_begun {
            self.tell(index, Step::Done(Ok(Outcome::Interrupted)));
        }
        let arrays: HashSet<ArrayId> = self.in_flight.keys().map(|task| task.array).collect();
        let arrays: Vec<ArrayId> = arrays.into_iter().collect();
        let cancels = self.sweep.when_stopped == WhenStopped::Cancel;
        let asked = match halt {
            Halt::Withdrawn => commands::cancel(&arrays, true).await,
            Halt::Asked if cancels => commands::cancel(&arrays, false).await,
            Halt::Asked | Halt::Forced => {
                self.let_go();
                Ok(())
            }
        };
        if let Err(error) = asked {
            self.say(format!("jobs could not be cancelled: {error}"));
        }
        self.rhythm.hurry(Instant::now());
    }

    /// Jobs go on without us.
    fn let_go(&mut self) {
        let count = self.in_flight.len();
        if count > 0 {
            let folder = self.sweep.folder.path().display().to_string();
            self.say(format!(
                "{count} trials stay in Slurm: the same command watches them again, `offmodel cancel {folder}` ends them"
            ));
        }
        for flight in std::mem::take(&mut self.in_flight).into_values() {
            self.tell(flight.index, Step::Done(Ok(Outcome::Interrupted)));
        }
    }

    /// An error of our own or a refusal: the first attempt reports it, which ends the sweep.
    fn fail(&self, batch: Vec<(usize, Work)>, error: RunnerError) {
        let mut error = Some(error);
        for (index, _) in batch {
            let outcome = error.take().map_or(Ok(Outcome::Interrupted), Err);
            self.tell(index, Step::Done(outcome));
        }
    }

    fn put_back(&mut self, batch: Vec<(usize, Work)>) {
        for entry in batch.into_iter().rev() {
            self.waiting.push_front(entry);
        }
    }

    fn pause_submissions(&mut self, error: &SlurmError) {
        /// Longer than it takes a busy controller to catch its breath.
        const PAUSE: Duration = Duration::from_secs(10);
        self.may_submit = Instant::now() + PAUSE;
        self.troubled(error);
    }

    fn troubled(&mut self, error: &SlurmError) {
        if !std::mem::replace(&mut self.trouble, true) {
            self.say(format!("{error}; trying again"));
        }
    }

    /// Waiting for something that may never come, and words that we do not know.
    fn tell_oddities(&mut self) {
        let mut odd = Vec::new();
        let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
        for (task, flight) in &self.in_flight {
            match &flight.state {
                Some(JobState::Waiting) if !USUAL_REASONS.contains(&flight.reason.as_str()) => {
                    *reasons.entry(&flight.reason).or_default() += 1;
                }
                Some(JobState::Unknown(word)) => odd.push((
                    word.clone(),
                    format!("Slurm says `{word}` of job {task}, whatever that means: waiting"),
                )),
                _ => {}
            }
        }
        for (reason, count) in reasons {
            odd.push((
                reason.to_owned(),
                format!("{count} trials wait in Slurm: {reason}"),
            ));
        }
        for (key, line) in odd {
            if self.told.insert(key) {
                self.say(line);
            }
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
        }
    }

    fn record(&self) -> TaskRecord {
        TaskRecord {
            trial: self.work.trial.id.clone(),
            attempt: self.work.attempt,
        }
    }

    fn judge(&self, answered: bool, result: Option<AttemptResult>) -> Verdict {
        let seen = match (answered, &self.state) {
            (false, _) => Seen::Nothing,
            (true, None) => Seen::Gone,
            (true, Some(state)) => Seen::State(state),
        };
        let over_for = self
            .over_since
            .map_or(Duration::ZERO, |since| since.elapsed());
        judge(seen, result, over_for)
    }
}
