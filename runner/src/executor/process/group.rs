use std::path::Path;

/// A process group that is led by one of our children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessGroup(i32);

impl ProcessGroup {
    /// The group of the child `pid`, which must have been started in a group of its own.
    ///
    /// None for numbers that no child has: `kill(2)` gives 0 and -1 a meaning of their own, the
    /// caller's group and every process.
    pub fn led_by(pid: i32) -> Option<Self> {
        (pid > 1).then_some(Self(pid))
    }

    /// Sends a signal to every process of the group. Does nothing if the group is gone.
    pub fn signal(self, signal: i32) {
        // SAFETY: `kill` reads and writes no memory of ours.
        unsafe { libc::kill(-self.0, signal) };
    }

    /// The resident memory of the group in bytes, without mapped files, which the system can drop
    /// at any time.
    ///
    /// A limit on address space (`RLIMIT_AS`) could not take its place: libtorch reserves much more
    /// address space than it uses.
    pub(super) fn resident_memory(self) -> u64 {
        let Ok(processes) = std::fs::read_dir("/proc") else {
            return 0;
        };
        processes
            .flatten()
            .map(|entry| entry.path())
            .filter(|process| group_of(process) == Some(self.0))
            .map(|process| resident_memory_of(&process))
            .sum()
    }
}

/// Field 5 of `/proc/PID/stat`. Field 2, the program's name, may contain spaces and parentheses but
/// ends with the last parenthesis of the line.
fn group_of(process: &Path) -> Option<i32> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(2)?.parse().ok()
}

fn resident_memory_of(process: &Path) -> u64 {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    status
        .lines()
        .filter(|line| line.starts_with("RssAnon:") || line.starts_with("RssShmem:"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map(|kibibytes| kibibytes * 1024)
        .sum()
}
