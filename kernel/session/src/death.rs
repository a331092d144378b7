//! Why the process that runs the cells has ended, in words.

use std::fs;
use std::path::Path;

/// What is known about the moment before.
#[derive(Debug, Default)]
pub(crate) struct LastWords {
    /// The end of what the cell wrote to standard error.
    stderr: String,
    /// Processes that the system has killed for want of memory.
    out_of_memory_kills: u64,
}

/// Bytes of standard error that are looked at.
const REMEMBERED: usize = 64 << 10;

impl LastWords {
    /// Begins to listen.
    pub fn new() -> Self {
        Self {
            stderr: String::new(),
            out_of_memory_kills: out_of_memory_kills(),
        }
    }

    /// Takes what a cell wrote to standard error.
    pub fn hear(&mut self, stderr: &str) {
        self.stderr.push_str(stderr);
        if self.stderr.len() > 2 * REMEMBERED {
            let excess = self.stderr.len() - REMEMBERED;
            self.stderr.drain(..self.stderr.ceil_char_boundary(excess));
        }
    }

    /// The cause, given how evcxr tells the end: `signal: 6 (SIGABRT)`, `exit status: 3`.
    pub fn cause(&self, told: &str) -> String {
        let killed_for_memory = out_of_memory_kills() > self.out_of_memory_kills;
        cause(told, &self.stderr, killed_for_memory)
    }
}

fn cause(told: &str, stderr: &str, killed_for_memory: bool) -> String {
    let signal = told
        .split_once("signal: ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<u32>().ok());
    let status = told
        .split_once("exit status: ")
        .and_then(|(_, rest)| rest.trim().parse::<i32>().ok());
    let allocation = stderr
        .rsplit_once("memory allocation of ")
        .and_then(|(_, rest)| rest.split_once(" bytes failed"))
        .and_then(|(bytes, _)| bytes.parse::<f64>().ok());
    match (signal, status) {
        (Some(9), _) if killed_for_memory => {
            "out of memory: the system killed it to free some (SIGKILL)".to_owned()
        }
        (Some(9), _) => "it was killed (SIGKILL): by an interrupt that it did not follow, by \
                         somebody else, or by a container that is out of memory"
            .to_owned(),
        (Some(6), _) if let Some(bytes) = allocation => format!(
            "out of memory: an allocation of {:.1} GB failed",
            bytes / 1e9
        ),
        // evcxr's handler says so and then aborts.
        (Some(6), _) if stderr.contains("Segmentation fault") => SEGMENTATION_FAULT.to_owned(),
        (Some(6), _) => "it aborted (SIGABRT): by `abort`, by a panic within a panic, or by an \
                         exception in C++ code"
            .to_owned(),
        (Some(11), _) => SEGMENTATION_FAULT.to_owned(),
        (Some(7), _) => "a bus error (SIGBUS): a mapped file became shorter, or a disk for shared \
                         memory is full"
            .to_owned(),
        (Some(4), _) => "an illegal instruction (SIGILL): code for another processor".to_owned(),
        (Some(other), _) => format!("it was ended by signal {other}"),
        (None, Some(status)) => format!("the cell ended it with exit status {status}"),
        (None, None) => told.trim().to_owned(),
    }
}

const SEGMENTATION_FAULT: &str = "a segmentation fault (SIGSEGV): unsafe or C++ code used memory \
                                  that is not its own, or a recursion is too deep for the stack";

/// How many processes the kernel has killed for want of memory, here and in our control group.
fn out_of_memory_kills() -> u64 {
    let counted = |file: &Path| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        line.and_then(|count| count.trim().parse::<u64>().ok())
            .unwrap_or(0)
    };
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let group = groups
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .unwrap_or_default();
    let group = Path::new("/sys/fs/cgroup").join(group);
    counted(Path::new("/proc/vmstat")) + counted(&group.join("memory.events"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_told_as_far_as_it_is_known() {
        let killed = "Subprocess terminated with status: signal: 9 (SIGKILL)";
        assert!(cause(killed, "", true).starts_with("out of memory"));
        assert!(cause(killed, "", false).starts_with("it was killed"));
        let aborted = "Subprocess terminated with status: signal: 6 (SIGABRT)";
        assert_eq!(
            cause(
                aborted,
                "x\nmemory allocation of 2500000000 bytes failed\n",
                false
            ),
            "out of memory: an allocation of 2.5 GB failed"
        );
        assert!(cause(aborted, "Segmentation fault.\n", false).contains("SIGSEGV"));
        assert!(cause(aborted, "", false).contains("SIGABRT"));
        assert_eq!(
            cause(
                "Subprocess terminated with status: exit status: 3",
                "",
                false
            ),
            "the cell ended it with exit status 3"
        );
        assert_eq!(cause("gone", "", false), "gone");
    }

    #[test]
    fn only_the_end_of_a_long_text_is_remembered() {
        let mut words = LastWords::new();
        for _ in 0..10_000 {
            words.hear("a warning of some length, é\n");
        }
        assert!(words.stderr.len() <= 2 * REMEMBERED);
    }
}
