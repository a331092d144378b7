use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::debug;

use super::super::commands;
use super::super::parse::{ArrayId, JobState, TaskId, TaskStatus};
use super::super::publish::{latest_result, publish_cancelled, publish_lost};
use super::super::reconcile::{Decision, JobObservation, reconcile};
use super::super::record::TaskRecord;
use super::super::submission::{has_begun, remove_if_not_begun};
use super::{InFlight, SlurmActor};
use crate::error::RunnerError;
use crate::executor::{AttemptOutcome, blocking};
use crate::store::AttemptResult;

/// Slurm's reasons for a pending task that need no report, because such a task starts sooner or
/// later.
const ORDINARY_REASONS: [&str; 7] = [
    "",
    "BeginTime",
    "Dependency",
    "JobArrayTaskLimit",
    "Priority",
    "Resources",
    "Cleaning",
];

impl SlurmActor {
    /// Polls Slurm for all tasks in flight and reports those that finished.
    pub(super) async fn poll(&mut self) {
        if self.submit_after <= Instant::now() {
            self.confirm_submission().await;
        }
        if self.in_flight.is_empty() {
            self.poll_interval.polled(Instant::now(), false);
            return;
        }
        let is_answered = self.query_states().await;
        let mut results = self.find_results(is_answered).await;
        let decisions: Vec<(TaskId, Decision)> = self
            .in_flight
            .iter()
            .map(|(task, flight)| (*task, flight.reconcile(is_answered, results.remove(task))))
            .filter(|(_, decision)| *decision != Decision::InProgress)
            .collect();
        debug!(
            is_answered,
            in_flight = self.in_flight.len(),
            finished = decisions.len(),
            "polled Slurm"
        );
        let has_finished = !decisions.is_empty();
        self.finish(decisions).await;
        self.close_arrays();
        let is_ending = self
            .in_flight
            .values()
            .any(|flight| flight.ended_since.is_some());
        self.poll_interval
            .polled(Instant::now(), has_finished || is_ending);
    }

    /// Asks Slurm for the states of all tasks in flight; false if it does not answer.
    async fn query_states(&mut self) -> bool {
        let arrays: Vec<ArrayId> = self.arrays_in_flight().into_iter().collect();
        let statuses = match commands::queue(&arrays).await {
            Ok(statuses) => statuses,
            Err(error) => {
                self.report_unreachable(&error);
                return false;
            }
        };
        if std::mem::take(&mut self.is_unreachable) {
            self.send_notice("Slurm answers again".to_owned());
        }
        let mut statuses: HashMap<TaskId, TaskStatus> = statuses
            .into_iter()
            .map(|status| (status.task, status))
            .collect();
        for (task, flight) in &mut self.in_flight {
            flight.observe(statuses.remove(task));
        }
        self.report_oddities();
        true
    }

    /// Reads the results of tasks that may have one. A task that Slurm reports as pending has none,
    /// so that a sweep with thousands of them does not read the disk for each at every poll.
    async fn find_results(&self, is_answered: bool) -> HashMap<TaskId, AttemptResult> {
        let candidates: Vec<(TaskId, TaskRecord)> = self
            .in_flight
            .iter()
            .filter(|(_, flight)| !is_answered || flight.state != Some(JobState::Waiting))
            .map(|(task, flight)| (*task, flight.record()))
            .collect();
        let folder = Arc::clone(&self.sweep.folder);
        let results = blocking("read the results of tasks", move || {
            Ok(candidates
                .into_iter()
                .filter_map(|(task, record)| Some((task, latest_result(&folder, &record)?)))
                .collect())
        });
        results.await.unwrap_or_default()
    }

    /// Reports tasks about which a decision was made.
    async fn finish(&mut self, decisions: Vec<(TaskId, Decision)>) {
        let forgotten: Vec<ArrayId> = decisions
            .iter()
            .filter(|(_, decision)| *decision == Decision::Lost(None))
            .map(|(task, _)| task.array)
            .collect();
        let mut accounted: HashMap<TaskId, TaskStatus> = HashMap::new();
        if !forgotten.is_empty() {
            let statuses = commands::accounting(&forgotten).await;
            accounted.extend(statuses.into_iter().map(|status| (status.task, status)));
        }
        for (task, decision) in decisions {
            let Some(flight) = self.in_flight.remove(&task) else {
                continue;
            };
            let outcome = match decision {
                Decision::InProgress => continue,
                Decision::Published(result) => Ok(AttemptOutcome::Published(result)),
                Decision::Lost(end) => {
                    let (end, reason) = match (end, accounted.remove(&task)) {
                        (
                            None,
                            Some(TaskStatus {
                                state: JobState::Ended(end),
                                reason,
                                ..
                            }),
                        ) => (Some(end), reason),
                        (end, _) => (end, flight.reason.clone()),
                    };
                    self.publish_lost(task, &flight, end, reason).await
                }
            };
            self.send_finished(flight.attempt.index, outcome);
        }
    }

    /// Publishes the result of a task that ended and left none: its trial was cancelled, or the
    /// attempt failed. A task that was withdrawn by a shutdown before it began gets no result.
    async fn publish_lost(
        &self,
        task: TaskId,
        flight: &InFlight,
        end: Option<&'static str>,
        reason: String,
    ) -> Result<AttemptOutcome, RunnerError> {
        let folder = Arc::clone(&self.sweep.folder);
        let spec = flight.attempt.spec.clone();
        if flight.is_cancelled {
            return blocking("record a cancelled trial", move || {
                publish_cancelled(&folder, &spec)
            })
            .await
            .map(|result| AttemptOutcome::Published(Box::new(result)));
        }
        let was_withdrawn = match end {
            Some("CANCELLED") => true,
            // Slurm may forget a task that never began as soon as it is cancelled.
            None => !has_begun(&folder, &flight.record()),
            Some(_) => false,
        };
        if was_withdrawn && self.shutdown.is_some() {
            remove_if_not_begun(&folder, &flight.record());
            return Ok(AttemptOutcome::Interrupted);
        }
        let log = self
            .arrays
            .get(&task.array)
            .map(|record| record.file(&folder, &format!("-{}.log", task.index)));
        blocking("record a lost task", move || {
            publish_lost(&folder, &spec, task, end, &reason, log.as_deref())
        })
        .await
        .map(|result| AttemptOutcome::Published(Box::new(result)))
    }

    /// Closes the records of arrays that have no task in flight. Arrays with tasks of an earlier
    /// runner for which the dispatcher did not ask stay open: these tasks go on.
    fn close_arrays(&mut self) {
        let mut open: HashSet<ArrayId> = self.arrays_in_flight().into_iter().collect();
        open.extend(self.left_behind.values().map(|live| live.task.array));
        let over: Vec<ArrayId> = self
            .arrays
            .keys()
            .filter(|array| !open.contains(array))
            .copied()
            .collect();
        for array in over {
            if let Some(mut record) = self.arrays.remove(&array) {
                record.closed = true;
                // If this fails, the next runner finds out that the array is over, and closes it.
                let _ = record.write(&self.sweep.folder);
            }
        }
    }

    /// Reports tasks that may wait for ever, and states that are not in our list.
    fn report_oddities(&mut self) {
        let mut oddities: Vec<(String, String)> = Vec::new();
        let mut waiting: BTreeMap<&str, usize> = BTreeMap::new();
        for (task, flight) in &self.in_flight {
            match &flight.state {
                Some(JobState::Waiting) if !ORDINARY_REASONS.contains(&flight.reason.as_str()) => {
                    *waiting.entry(&flight.reason).or_default() += 1;
                }
                Some(JobState::Unknown(word)) => oddities.push((
                    word.clone(),
                    format!(
                        "Slurm reports the state `{word}` for job {task}, which this version of offmodel does not know; waiting until the job ends"
                    ),
                )),
                _ => {}
            }
        }
        for (reason, count) in waiting {
            oddities.push((
                reason.to_owned(),
                format!("{count} trials wait in Slurm: {reason}"),
            ));
        }
        for (key, line) in oddities {
            if self.reported.insert(key) {
                self.send_notice(line);
            }
        }
    }
}

impl InFlight {
    /// Takes over the state from an answer of Slurm, which may not list the task.
    fn observe(&mut self, status: Option<TaskStatus>) {
        (self.state, self.reason) = match status {
            Some(status) => (Some(status.state), status.reason),
            None => (None, String::new()),
        };
        if self.state.as_ref().is_none_or(JobState::is_ended) {
            self.ended_since.get_or_insert_with(Instant::now);
        } else {
            // Slurm requeued the task.
            self.ended_since = None;
        }
    }

    fn reconcile(&self, is_answered: bool, result: Option<AttemptResult>) -> Decision {
        let observation = match (is_answered, &self.state) {
            (false, _) => JobObservation::Unreachable,
            (true, None) => JobObservation::Forgotten,
            (true, Some(state)) => JobObservation::State(state),
        };
        let ended_for = self
            .ended_since
            .map_or(Duration::ZERO, |since| since.elapsed());
        reconcile(observation, result, ended_for)
    }
}
