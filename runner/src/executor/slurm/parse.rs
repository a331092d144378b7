//! Parses what Slurm's commands print.
//!
//! Only plain formats that offmodel asks for are parsed: those of `--json` change between releases.

use std::fmt;

/// The job number that `sbatch` gives to a job array.
pub(super) type ArrayId = u64;

/// The largest value that Slurm allows for `MaxArraySize`.
const MAX_ARRAY_SIZE: u32 = 4_000_001;

/// One task of a job array.
///
/// A task's own job number would not identify it: the last task to start takes over the array's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The array.
    pub array: ArrayId,
    /// The task's index in the array.
    pub index: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}_{}", self.array, self.index)
    }
}

/// The state of a task, as far as offmodel distinguishes states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// The task does not run yet, or was requeued.
    Waiting,
    /// The task runs, or is being set up or cleared away.
    Running,
    /// The task has ended; in Slurm's word: `COMPLETED`, `TIMEOUT`, ...
    Ended(&'static str),
    /// A word that is not in our lists. It may or may not be an end, so it is treated as none.
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
    /// Parses the name of a state. `sacct` adds who cancelled a job (`CANCELLED by 1000`), and a `+`
    /// where it shortened a word.
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

    /// Whether the task has ended.
    pub fn is_ended(&self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

/// What Slurm says about one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskStatus {
    /// The task.
    pub task: TaskId,
    /// Its state.
    pub state: JobState,
    /// Why it is in that state, in Slurm's words; empty if Slurm gives no reason.
    pub reason: String,
}

/// The format of `squeue -o` that [`queue`] parses.
pub(super) const QUEUE_FORMAT: &str = "%i|%T|%r";

/// Parses the output of `squeue -r -h -t all -o '%i|%T|%r'`.
///
/// Jobs that are not tasks of an array are skipped, because offmodel submits only arrays; so are
/// lines of another form, such as a plugin's warning.
pub(super) fn queue(output: &str) -> Vec<TaskStatus> {
    statuses(output)
}

/// Parses the output of `sacct -X -P -n -o JobID,State,Reason`.
pub(super) fn accounting(output: &str) -> Vec<TaskStatus> {
    statuses(output)
}

/// Parses the output of `sbatch --parsable`: the job's number, followed by `;CLUSTER` where there
/// are several clusters. Plugins of a site may print lines of their own before it.
pub(super) fn submitted(output: &str) -> Option<ArrayId> {
    let last = output.lines().rev().find(|line| !line.trim().is_empty())?;
    number(last.split(';').next()?.trim()).filter(|id| *id > 0)
}

/// Finds a number in the output of `scontrol show config`, whose lines are `Name   = value`.
pub(super) fn setting(output: &str, name: &str) -> Option<usize> {
    let (_, value) = output
        .lines()
        .filter_map(|line| line.split_once('='))
        .find(|(own, _)| own.trim() == name)?;
    let value = number(value.split_whitespace().next()?)?;
    usize::try_from(value).ok()
}

fn statuses(output: &str) -> Vec<TaskStatus> {
    output
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, '|');
            let tasks = tasks(fields.next()?)?;
            let state = JobState::parse(fields.next()?);
            let reason = fields.next().unwrap_or_default().trim();
            let reason = if reason == "None" { "" } else { reason };
            Some(tasks.into_iter().map(move |task| TaskStatus {
                task,
                state: state.clone(),
                reason: reason.to_owned(),
            }))
        })
        .flatten()
        .collect()
}

/// Parses `12_3` or `12_[1-3,7%2]`. Slurm keeps tasks that have not begun in one entry, `squeue -r`
/// notwithstanding if they were cancelled.
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
    // `%2` says how many tasks may run at the same time.
    let listed = listed.split_once('%').map_or(listed, |(listed, _)| listed);
    let mut tasks = Vec::new();
    for part in listed.split(',') {
        let (range, step) = part.split_once(':').unwrap_or((part, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last, step) = (index(first)?, index(last)?, index(step)?.max(1));
        // Bounds the memory that a line of garbage can take.
        if last.saturating_sub(first) >= MAX_ARRAY_SIZE {
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

/// Parses digits; `str::parse` alone would also accept a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(output: &str) -> Vec<(String, JobState, String)> {
        queue(output)
            .into_iter()
            .map(|status| (status.task.to_string(), status.state, status.reason))
            .collect()
    }

    /// Captured from Slurm 22.05, with an array of six tasks and two jobs that are not arrays.
    #[test]
    fn squeue_lists_the_tasks_of_arrays() {
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
            parsed(captured),
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
    fn sacct_adds_who_cancelled_and_shortens_words() {
        let output = "12_0|CANCELLED by 1000|None\n12_1|OUT_OF_ME+|None\n12_[2-5]|PENDING|None\n";
        let states: Vec<_> = accounting(output)
            .into_iter()
            .map(|status| status.state)
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
    fn an_entry_of_several_tasks_is_expanded() {
        let indices = |text: &str| -> Option<Vec<u32>> {
            Some(tasks(text)?.into_iter().map(|task| task.index).collect())
        };
        assert_eq!(indices("12_3"), Some(vec![3]));
        assert_eq!(indices("12_[3]"), Some(vec![3]));
        assert_eq!(indices("12_[2-4,7%2]"), Some(vec![2, 3, 4, 7]));
        assert_eq!(indices("12_[0-6:3]"), Some(vec![0, 3, 6]));
        for wrong in [
            "12",
            "12_",
            "12_[",
            "12_[]",
            "12_[a]",
            "12_[1-9...]",
            "12_[0-4294967295]",
        ] {
            assert_eq!(indices(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_unknown_state_is_not_an_end() {
        for word in ["", "completed", "COMPLETED_WITH_GLEE", "SUCCESS", "0"] {
            let state = JobState::parse(word);
            assert_eq!(state, JobState::Unknown(word.to_owned()));
            assert!(!state.is_ended());
        }
    }

    #[test]
    fn the_job_number_is_the_last_line_of_sbatch() {
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
        fn no_output_makes_the_parsers_panic(text in "\\PC*|([0-9_|A-Z\\n]*)") {
            let _ = (queue(&text), submitted(&text), setting(&text, "MaxArraySize"));
        }

        #[test]
        fn a_line_of_squeue_is_parsed_whatever_surrounds_it(
            array in 1..u64::MAX, index in any::<u32>(), state in 0..12_usize, reason in "[A-Z][a-z, |]{0,20}",
        ) {
            let task = TaskId { array, index };
            let statuses = queue(&format!("warning: x\n{task}|{}|{reason}\n", ENDED[state]));
            let reason = reason.trim().to_owned();
            let reason = if reason == "None" { String::new() } else { reason };
            prop_assert_eq!(statuses, [TaskStatus { task, state: JobState::Ended(ENDED[state]), reason }]);
        }

        #[test]
        fn only_listed_words_are_an_end(word in "[A-Z_]{1,20}") {
            prop_assert_eq!(JobState::parse(&word).is_ended(), ENDED.contains(&word.as_str()));
        }
    }
}
