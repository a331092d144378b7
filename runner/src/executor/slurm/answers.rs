//! What Slurm's commands print, read without touching anything.
//!
//! Only plain formats of our own choosing are read: those of `--json` change between releases.

use std::fmt;

/// The number that `sbatch` gives to a job array.
pub type ArrayId = u64;

/// One task of a job array. Its own job number is no name: the last task to start takes the
/// array's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The array.
    pub array: ArrayId,
    /// The index in it.
    pub index: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}_{}", self.array, self.index)
    }
}

/// What Slurm says about a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// It does not run yet, or not again yet.
    Waiting,
    /// It runs, or is being set up or cleared away.
    Running,
    /// It is over, in Slurm's word for how: `COMPLETED`, `TIMEOUT`, ...
    Ended(&'static str),
    /// A word that we do not know: whatever it means, it is no success.
    Unknown(String),
}

const WAITING: [&str; 7] = [
    "PENDING",
    "CONFIGURING",
    "REQUEUED",
    "REQUEUE_FED",
    "REQUEUE_HOLD",
    "RESV_DEL_HOLD",
    "SPECIAL_EXIT",
];
const RUNNING: [&str; 7] = [
    "RUNNING",
    "COMPLETING",
    "SUSPENDED",
    "STOPPED",
    "SIGNALING",
    "STAGE_OUT",
    "RESIZING",
];
const ENDED: [&str; 12] = [
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "DEADLINE",
    "NODE_FAIL",
    "BOOT_FAIL",
    "LAUNCH_FAILED",
    "RECONFIG_FAIL",
    "PREEMPTED",
    "OUT_OF_MEMORY",
    "REVOKED",
];

impl JobState {
    /// Reads a state's name. `sacct` adds who cancelled a job, and a `+` where it cut a name.
    pub fn parse(text: &str) -> Self {
        let word = text.split_whitespace().next().unwrap_or_default();
        let word = word.trim_end_matches('+');
        if WAITING.contains(&word) {
            return Self::Waiting;
        }
        if RUNNING.contains(&word) {
            return Self::Running;
        }
        match ENDED.iter().find(|ended| **ended == word) {
            Some(ended) => Self::Ended(ended),
            None => Self::Unknown(text.trim().to_owned()),
        }
    }

    /// Whether the task is over.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

/// A task in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which.
    pub task: TaskId,
    /// Its state.
    pub state: JobState,
    /// Why it is in that state, in Slurm's words; empty if there is no reason.
    pub reason: String,
}

/// The format of `squeue -o` that [`queue`] reads.
pub const QUEUE_FORMAT: &str = "%i|%T|%r";

/// Reads `squeue -r -h -t all -o '%i|%T|%r'`. Jobs that are no tasks of an array are none of
/// ours, and lines that are no answers (a plugin's warning) tell nothing.
pub fn queue(output: &str) -> Vec<Answer> {
    answers(output)
}

/// Reads `sacct -X -P -n -o JobID,State,Reason`.
pub fn accounting(output: &str) -> Vec<Answer> {
    answers(output)
}

fn answers(output: &str) -> Vec<Answer> {
    output
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, '|');
            let tasks = tasks(fields.next()?)?;
            let state = JobState::parse(fields.next()?);
            let reason = fields.next().unwrap_or_default().trim();
            let reason = if reason == "None" { "" } else { reason };
            Some(tasks.into_iter().map(move |task| Answer {
                task,
                state: state.clone(),
                reason: reason.to_owned(),
            }))
        })
        .flatten()
        .collect()
}

/// `12_3`, or `12_[1-3,7%2]`: tasks that were cancelled before they began stay one entry.
fn tasks(text: &str) -> Option<Vec<TaskId>> {
    let (array, indices) = text.trim().split_once('_')?;
    let array = number(array)?;
    let task = |index| TaskId { array, index };
    let Some(listed) = indices
        .strip_prefix('[')
        .and_then(|indices| indices.strip_suffix(']'))
    else {
        return Some(vec![task(index(indices)?)]);
    };
    // How many may run at once stands behind the list.
    let listed = listed.split_once('%').map_or(listed, |(listed, _)| listed);
    let mut tasks = Vec::new();
    for part in listed.split(',') {
        let (range, step) = part.split_once(':').unwrap_or((part, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last, step) = (index(first)?, index(last)?, index(step)?.max(1));
        // No cluster takes larger ones.
        if last.saturating_sub(first) >= LARGEST_ARRAY {
            return None;
        }
        let step = usize::try_from(step).ok()?;
        tasks.extend((first..=last).step_by(step).map(task));
    }
    Some(tasks)
}

fn index(text: &str) -> Option<u32> {
    u32::try_from(number(text)?).ok()
}

/// The most that Slurm lets `MaxArraySize` be.
const LARGEST_ARRAY: u32 = 4_000_001;

/// Digits alone: Rust's own parser takes a sign as well.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// Reads `sbatch --parsable`: the job's number, with `;CLUSTER` behind it where there are
/// several. Site plugins may print lines of their own before it.
pub fn submitted(output: &str) -> Option<ArrayId> {
    let last = output.lines().rev().find(|line| !line.trim().is_empty())?;
    number(last.split(';').next()?.trim()).filter(|id| *id > 0)
}

/// A number in `scontrol show config`, whose lines are `Name   = value`.
pub fn setting(output: &str, name: &str) -> Option<u64> {
    output.lines().find_map(|line| {
        let (own, value) = line.split_once('=')?;
        (own.trim() == name).then(|| number(value.split_whitespace().next()?))?
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn told(output: &str) -> Vec<(String, JobState, String)> {
        queue(output)
            .into_iter()
            .map(|answer| (answer.task.to_string(), answer.state, answer.reason))
            .collect()
    }

    /// As Slurm 22.05 printed it, with an array of six tasks and two jobs that are no arrays.
    #[test]
    fn the_queue_is_read_by_task() {
        let captured = "\
1_0|COMPLETED|None
7|COMPLETED|None
1_4|COMPLETING|None
1_2|FAILED|JobLaunchFailure
1_1|FAILED|NonZeroExitCode
8|FAILED|BadConstraints
1_5|PENDING|Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions
1_3|PENDING|JobArrayTaskLimit
";
        let row = |task: &str, state, reason: &str| (task.to_owned(), state, reason.to_owned());
        assert_eq!(
            told(captured),
            [
                row("1_0", JobState::Ended("COMPLETED"), ""),
                row("1_4", JobState::Running, ""),
                row("1_2", JobState::Ended("FAILED"), "JobLaunchFailure"),
                row("1_1", JobState::Ended("FAILED"), "NonZeroExitCode"),
                row(
                    "1_5",
                    JobState::Waiting,
                    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions"
                ),
                row("1_3", JobState::Waiting, "JobArrayTaskLimit"),
            ]
        );
    }

    #[test]
    fn accounting_tells_who_cancelled() {
        let output = "12_0|CANCELLED by 1000|None\n12_1|OUT_OF_ME+|None\n12_[2-5]|PENDING|None\n";
        let states: Vec<_> = accounting(output)
            .into_iter()
            .map(|answer| answer.state)
            .collect();
        assert_eq!(
            states,
            [
                JobState::Ended("CANCELLED"),
                JobState::Unknown("OUT_OF_ME+".to_owned()),
                JobState::Waiting,
                JobState::Waiting,
                JobState::Waiting,
                JobState::Waiting,
            ]
        );
    }

    #[test]
    fn tasks_of_one_entry_are_told_one_by_one() {
        let told = |text: &str| -> Option<Vec<u32>> {
            Some(tasks(text)?.into_iter().map(|task| task.index).collect())
        };
        assert_eq!(told("12_3"), Some(vec![3]));
        assert_eq!(told("12_[3]"), Some(vec![3]));
        assert_eq!(told("12_[2-4,7%2]"), Some(vec![2, 3, 4, 7]));
        assert_eq!(told("12_[0-6:3]"), Some(vec![0, 3, 6]));
        for wrong in [
            "12",
            "12_",
            "12_[",
            "12_[]",
            "12_[a]",
            "12_[1-9...]",
            "12_[0-4294967295]",
        ] {
            assert_eq!(told(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_state_that_we_do_not_know_has_not_ended() {
        for word in ["", "completed", "COMPLETED_WITH_GLEE", "SUCCESS", "0"] {
            let state = JobState::parse(word);
            assert_eq!(state, JobState::Unknown(word.to_owned()));
            assert!(!state.is_ended());
        }
    }

    #[test]
    fn the_number_of_a_submission_is_the_last_line() {
        assert_eq!(submitted("1234\n"), Some(1234));
        assert_eq!(submitted("1234;hpc\n"), Some(1234));
        assert_eq!(submitted("Your quota is 80% used\n77\n"), Some(77));
        for wrong in ["", "\n", "0", "-5", "+5", "Submitted batch job 5", "1e3"] {
            assert_eq!(submitted(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn settings_are_found_by_their_whole_name() {
        let captured = "\
MaxArraySize            = 1001
MaxBatchRequeue         = 5
MinJobAge               = 300 sec
SlurmctldHost[0]        = vm(127.0.0.1)
";
        assert_eq!(setting(captured, "MaxArraySize"), Some(1001));
        assert_eq!(setting(captured, "MinJobAge"), Some(300));
        assert_eq!(setting(captured, "Array"), None);
    }

    proptest! {
        #[test]
        fn no_output_is_too_strange(text in "\\PC*|([0-9_|A-Z\\n]*)") {
            let _ = (queue(&text), submitted(&text), setting(&text, "MaxArraySize"));
        }

        #[test]
        fn what_squeue_prints_is_read_back(
            array in 1..u64::MAX, index in any::<u32>(), state in 0..12_usize, reason in "[A-Z][a-z, |]{0,20}",
        ) {
            let task = TaskId { array, index };
            let answers = queue(&format!("warning: x\n{task}|{}|{reason}\n", ENDED[state]));
            let reason = reason.trim().to_owned();
            let reason = if reason == "None" { String::new() } else { reason };
            prop_assert_eq!(answers, [Answer { task, state: JobState::Ended(ENDED[state]), reason }]);
        }

        #[test]
        fn only_a_known_word_is_an_end(word in "[A-Z_]{1,20}") {
            prop_assert_eq!(JobState::parse(&word).is_ended(), ENDED.contains(&word.as_str()));
        }
    }
}
