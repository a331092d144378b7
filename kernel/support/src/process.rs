//! Identifies a process beyond its number, which the system uses again.
//!
//! A process is the same one only if boot, PID namespace, number and start time are all equal:
//! see `proc(5)`.

use std::fs;

/// The machine's host name; empty if it cannot be read.
pub fn host_name() -> String {
    read_line("/proc/sys/kernel/hostname")
}

/// An identifier that the kernel draws at every boot; empty if it cannot be read.
pub fn boot_id() -> String {
    read_line("/proc/sys/kernel/random/boot_id")
}

/// The PID namespace of this process: containers number their processes separately. Empty if it
/// cannot be read.
pub fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid")
        .map(|link| link.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The number of this process.
pub fn own_pid() -> i32 {
    // Linux limits process numbers to 2^22 (`/proc/sys/kernel/pid_max`), so the conversion holds.
    i32::try_from(std::process::id()).unwrap_or_default()
}

/// When the process `pid` started, in clock ticks since boot; none if it does not run. A zombie
/// does not run.
pub fn start_time(pid: i32) -> Option<u64> {
    /// Fields between the state (field 3 of `/proc/PID/stat`) and the start time (field 22).
    const FIELDS_BETWEEN: usize = 18;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name in parentheses, may itself hold spaces and parentheses.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let is_zombie = fields.next()? == "Z";
    if is_zombie {
        return None;
    }
    fields.nth(FIELDS_BETWEEN)?.parse().ok()
}

fn read_line(path: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_runs_and_an_impossible_one_does_not() {
        assert!(start_time(own_pid()).is_some());
        assert_eq!(start_time(i32::MAX), None);
    }

    #[test]
    fn a_process_that_ended_does_not_run_before_and_after_it_is_waited_for() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        while start_time(pid).is_some() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert_eq!(start_time(pid), None);
    }

    #[test]
    fn machine_boot_and_namespace_have_names() {
        for name in [host_name(), boot_id(), pid_namespace()] {
            assert!(!name.is_empty());
        }
    }
}
