//! Why the child process ended, in words for the user.

use std::fs;
use std::path::Path;

/// The most bytes of standard error that are kept.
const MAX_TAIL: usize = 128 << 10;

/// The end of what a cell wrote to standard error.
#[derive(Debug, Default)]
pub(super) struct StderrTail {
    text: String,
}

impl StderrTail {
    /// Appends text.
    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        if self.text.len() > MAX_TAIL {
            // Cut half of it, so that the text is not moved for every line.
            let excess = self.text.len() - MAX_TAIL / 2;
            self.text.drain(..self.text.ceil_char_boundary(excess));
        }
    }
}

/// Describes the end of the child process. `status` is evcxr's text: it contains
/// `signal: 6 (SIGABRT)` or `exit status: 3`.
pub(super) fn describe_exit(status: &str, stderr: &StderrTail, is_out_of_memory: bool) -> String {
    let stderr = &stderr.text;
    let signal = status
        .split_once("signal: ")
        .and_then(|(_, rest)| rest.split(' ').next()?.parse::<u32>().ok());
    let exit_status = status
        .split_once("exit status: ")
        .and_then(|(_, rest)| rest.trim().parse::<i32>().ok());
    // Rust's allocator reports a failed allocation before it aborts.
    let failed_allocation = stderr
        .rsplit_once("memory allocation of ")
        .and_then(|(_, rest)| rest.split_once(" bytes failed"))
        .and_then(|(bytes, _)| bytes.parse::<f64>().ok());
    match (signal, exit_status) {
        (Some(9), _) if is_out_of_memory => {
            "out of memory: the system killed it to free memory (SIGKILL)".to_owned()
        }
        (Some(9), _) => "it was killed (SIGKILL): after an interrupt that it did not react to, \
                         by another process, or by a container that is out of memory"
            .to_owned(),
        (Some(6), _) if let Some(bytes) = failed_allocation => format!(
            "out of memory: an allocation of {:.1} GB failed",
            bytes / 1e9
        ),
        // evcxr's signal handler prints this and aborts.
        (Some(6), _) if stderr.contains("Segmentation fault") => SEGMENTATION_FAULT.to_owned(),
        (Some(6), _) => "it aborted (SIGABRT): by `abort`, by a panic within a panic, or by an \
                         exception in C++ code"
            .to_owned(),
        (Some(11), _) => SEGMENTATION_FAULT.to_owned(),
        (Some(7), _) => "a bus error (SIGBUS): a memory-mapped file was truncated, or the file \
                         system for shared memory (/dev/shm) is full"
            .to_owned(),
        (Some(4), _) => {
            "an illegal instruction (SIGILL): code compiled for another processor".to_owned()
        }
        (Some(other), _) => format!("it was ended by signal {other}"),
        (None, Some(status)) => format!("the cell ended it with exit status {status}"),
        (None, None) => status.trim().to_owned(),
    }
}

const SEGMENTATION_FAULT: &str = "a segmentation fault (SIGSEGV): unsafe or C++ code used memory \
                                  that is not its own, or a recursion is too deep for the stack";

/// The number of processes that the system has killed because it was out of memory, on this machine
/// and in our control group: see `memory.events` in the kernel's cgroup v2 documentation.
pub(super) fn out_of_memory_kills() -> u64 {
    let count_in = |file: &Path| {
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
    count_in(Path::new("/proc/vmstat")) + count_in(&group.join("memory.events"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(status: &str, stderr: &str, is_out_of_memory: bool) -> String {
        let mut tail = StderrTail::default();
        tail.push(stderr);
        describe_exit(status, &tail, is_out_of_memory)
    }

    #[test]
    fn signals_and_exit_statuses_are_described() {
        let killed = "Subprocess terminated with status: signal: 9 (SIGKILL)";
        assert!(describe(killed, "", true).starts_with("out of memory"));
        assert!(describe(killed, "", false).starts_with("it was killed"));
        let aborted = "Subprocess terminated with status: signal: 6 (SIGABRT)";
        assert_eq!(
            describe(
                aborted,
                "x\nmemory allocation of 2500000000 bytes failed\n",
                false
            ),
            "out of memory: an allocation of 2.5 GB failed"
        );
        assert!(describe(aborted, "Segmentation fault.\n", false).contains("SIGSEGV"));
        assert!(describe(aborted, "", false).contains("SIGABRT"));
        assert_eq!(
            describe(
                "Subprocess terminated with status: exit status: 3",
                "",
                false
            ),
            "the cell ended it with exit status 3"
        );
        assert_eq!(describe("gone", "", false), "gone");
    }

    #[test]
    fn only_the_end_of_a_long_text_is_kept() {
        let mut tail = StderrTail::default();
        for _ in 0..10_000 {
            tail.push("a warning of some length, é\n");
        }
        assert!(tail.text.len() <= MAX_TAIL);
        assert!(tail.text.ends_with("é\n"));
    }
}
