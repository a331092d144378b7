//! Looking how everything in flight is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::answers::{ArrayId, JobState, TaskId};
use super::super::commands;
use super::super::publication::{latest_result, publish_cancelled, publish_lost};
use super::super::record::TaskRecord;
use super::super::submission::{has_begun, remove_unbegun};
use super::super::verdict::{Seen, Verdict, judge};
use super::{InFlight, Keeper};
use crate::error::RunnerError;
use crate::executor::attempt::blocking;
use crate::executor::{Outcome, Step};
use crate::store::AttemptResult;

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

impl Keeper {
    /// Looks how everything in flight is, and tells what is over.
    pub(super) async fn look(&mut self) {
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
        if flight.cancelled {
            let folder = Arc::clone(&self.sweep.folder);
            let work = flight.work.clone();
            return blocking(move || publish_cancelled(&folder, &work))
                .await
                .map(|result| Outcome::Published(Box::new(result)));
        }
        // Slurm may forget a task that never began as soon as it is cancelled.
        let is_withdrawn = match word {
            Some("CANCELLED") => true,
            None => !has_begun(&self.sweep.folder, &flight.record()),
            Some(_) => false,
        };
        if is_withdrawn && self.halted.is_some() {
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
}

impl InFlight {
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
