//! Limits of time and memory, watched from outside: what exceeds them may no longer listen.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::single::{GRACE, signal_group};
use crate::store::Cause;
use crate::sweep::Policy;

/// How often memory is looked at. A limit on address space would not do: libtorch reserves much
/// more of it than it uses.
const EVERY: Duration = Duration::from_millis(200);

/// Runs an execution to its end and ends it early when it exceeds a limit or is cancelled; tells
/// which.
///
/// Too much time, and what is cancelled, is asked to stop, and killed after [`GRACE`]; too much memory is killed at once.
pub async fn within<T>(
    policy: &Policy,
    cancelled: impl Future<Output = ()>,
    process: impl Future<Output = Option<i32>>,
    execution: impl Future<Output = T>,
) -> (T, Option<Cause>) {
    tokio::pin!(execution);
    let exceeded = async {
        match process.await {
            Some(process) => (process, exceeded(policy, cancelled, process).await),
            None => std::future::pending().await,
        }
    };
    let (process, cause) = tokio::select! {
        biased;
        ended = &mut execution => return (ended, None),
        exceeded = exceeded => exceeded,
    };
    if matches!(cause, Cause::Timeout { .. } | Cause::Cancelled) {
        signal_group(Some(process), libc::SIGINT);
        if let Ok(ended) = timeout(GRACE, &mut execution).await {
            return (ended, Some(cause));
        }
    }
    signal_group(Some(process), libc::SIGKILL);
    (execution.await, Some(cause))
}

async fn exceeded(policy: &Policy, cancelled: impl Future<Output = ()>, process: i32) -> Cause {
    tokio::select! {
        () = cancelled => Cause::Cancelled,
        cause = out_of_time(policy.timeout) => cause,
        cause = out_of_memory(policy.resources.memory, process) => cause,
    }
}

async fn out_of_time(limit: Option<Duration>) -> Cause {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    sleep(limit).await;
    Cause::Timeout {
        limit: limit.as_secs_f64(),
    }
}

async fn out_of_memory(limit: Option<u64>, group: i32) -> Cause {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    loop {
        sleep(EVERY).await;
        let held = held_by(group);
        if held > limit {
            return Cause::Memory { limit, held };
        }
    }
}

/// The resident memory of a process group in bytes, without mapped files, which the system can
/// drop at any time.
fn held_by(group: i32) -> u64 {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return 0;
    };
    processes
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| group_of(path) == Some(group))
        .map(|path| held(&path))
        .sum()
}

/// The fifth field of `/proc/PID/stat`; the second one, a name, may hold anything but ends with
/// the last parenthesis.
fn group_of(process: &Path) -> Option<i32> {
    let stat = std::fs::read_to_string(process.join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(2)?.parse().ok()
}

fn held(process: &Path) -> u64 {
    let status = std::fs::read_to_string(process.join("status")).unwrap_or_default();
    status
        .lines()
        .filter(|line| line.starts_with("RssAnon:") || line.starts_with("RssShmem:"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .map(|kibibytes| kibibytes * 1024)
        .sum()
}
