use std::future::Future;
use std::time::{Duration, Instant};

use tokio::time::{sleep, sleep_until};
use tracing::debug;

use super::ProcessGroup;
use crate::store::FailureReason;
use crate::sweep::Policy;

/// How long a process may take to end after it was asked to, before it is killed.
pub const GRACE_PERIOD: Duration = Duration::from_secs(5);

const MEMORY_POLL_INTERVAL: Duration = Duration::from_millis(200);

/// The limits of one process.
///
/// They are checked from outside, because a process that exceeds one may no longer react.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::executor) struct Limits {
    /// The longest wall-clock time.
    pub timeout: Option<Duration>,
    /// The most resident memory of the process group, in bytes.
    pub memory: Option<u64>,
}

/// A request from outside to end a process early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::executor) enum StopRequest {
    /// Interrupt it and wait: whoever asks sets the deadline and kills it.
    Interrupt,
    /// Interrupt it, and kill it after [`GRACE_PERIOD`].
    Terminate,
    /// Terminate it because its trial was cancelled.
    Cancel,
    /// Kill it now.
    Kill,
}

/// A source of stop requests.
pub(in crate::executor) trait StopRequests {
    /// Waits for the next request, for ever if none comes. Must be cancel-safe, and must not
    /// return the same request twice.
    fn next(&mut self) -> impl Future<Output = StopRequest> + Send;
}

/// Waits for `execution` and ends its process group early on request or at a limit.
///
/// `started` yields the process group once it exists; requests that come before are carried out
/// then. A process that runs too long, or is cancelled, is interrupted (SIGINT) and killed after
/// [`GRACE_PERIOD`]; one that holds too much memory is killed at once.
///
/// Also returns why the process was ended: the limit that it exceeded, or that it was cancelled;
/// `None` if neither happened. The first reason counts.
pub(in crate::executor) async fn supervise<T>(
    limits: Limits,
    started: impl Future<Output = Option<ProcessGroup>>,
    requests: &mut impl StopRequests,
    execution: impl Future<Output = T>,
) -> (T, Option<FailureReason>) {
    tokio::pin!(execution, started);
    let mut early = Vec::new();
    let group = loop {
        tokio::select! {
            biased;
            output = &mut execution => return (output, None),
            group = &mut started => break group,
            request = requests.next() => early.push(request),
        }
    };
    let mut stop = Stop {
        group,
        kill_at: None,
        reason: None,
    };
    for request in early {
        stop.apply(request);
    }
    let exceeded = exceeded(limits, group);
    tokio::pin!(exceeded);
    loop {
        let kill_at = stop.kill_at;
        tokio::select! {
            // A process that has ended gets no further signal.
            biased;
            output = &mut execution => return (output, stop.reason),
            reason = &mut exceeded, if stop.reason.is_none() => stop.exceed(reason),
            request = requests.next() => stop.apply(request),
            () = sleep_until(kill_at.unwrap_or_else(Instant::now).into()), if kill_at.is_some() => {
                stop.kill();
            }
        }
    }
}

/// How far a process has been stopped.
struct Stop {
    group: Option<ProcessGroup>,
    /// The end of the grace period.
    kill_at: Option<Instant>,
    reason: Option<FailureReason>,
}

impl Stop {
    fn apply(&mut self, request: StopRequest) {
        debug!(group = ?self.group, ?request, "stop requested");
        match request {
            StopRequest::Interrupt => self.signal(libc::SIGINT),
            StopRequest::Terminate => self.terminate(),
            StopRequest::Cancel => {
                self.reason.get_or_insert(FailureReason::Cancelled);
                self.terminate();
            }
            StopRequest::Kill => self.kill(),
        }
    }

    fn exceed(&mut self, reason: FailureReason) {
        debug!(group = ?self.group, ?reason, "limit exceeded");
        if matches!(reason, FailureReason::Memory { .. }) {
            self.kill();
        } else {
            self.terminate();
        }
        self.reason = Some(reason);
    }

    fn terminate(&mut self) {
        self.signal(libc::SIGINT);
        self.kill_at
            .get_or_insert_with(|| Instant::now() + GRACE_PERIOD);
    }

    fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        self.kill_at = None;
    }

    fn signal(&self, signal: i32) {
        if let Some(group) = self.group {
            debug!(?group, signal, "signal sent");
            group.signal(signal);
        }
    }
}

impl From<&Policy> for Limits {
    fn from(policy: &Policy) -> Self {
        Self {
            timeout: policy.timeout,
            memory: policy.resources.memory,
        }
    }
}

/// Waits until a limit is exceeded.
async fn exceeded(limits: Limits, group: Option<ProcessGroup>) -> FailureReason {
    let Some(group) = group else {
        return std::future::pending().await;
    };
    tokio::select! {
        reason = time_exceeded(limits.timeout) => reason,
        reason = memory_exceeded(limits.memory, group) => reason,
    }
}

async fn time_exceeded(limit: Option<Duration>) -> FailureReason {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    sleep(limit).await;
    FailureReason::Timeout {
        limit: limit.as_secs_f64(),
    }
}

async fn memory_exceeded(limit: Option<u64>, group: ProcessGroup) -> FailureReason {
    let Some(limit) = limit else {
        return std::future::pending().await;
    };
    loop {
        sleep(MEMORY_POLL_INTERVAL).await;
        let held = group.resident_memory();
        if held > limit {
            return FailureReason::Memory { limit, held };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use tokio::process::Command;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;

    impl StopRequests for UnboundedReceiver<StopRequest> {
        async fn next(&mut self) -> StopRequest {
            match self.recv().await {
                Some(request) => request,
                None => std::future::pending().await,
            }
        }
    }

    /// Supervises a shell script; `after_start` requests follow once the script has written a line.
    async fn run(
        script: &str,
        limits: Limits,
        before_start: &[StopRequest],
        after_start: &[StopRequest],
    ) -> (ExitStatus, Option<FailureReason>) {
        use tokio::io::AsyncReadExt;
        let mut child = Command::new("sh")
            .args(["-c", &format!("{script}\n")])
            .stdout(std::process::Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let group = child
            .id()
            .and_then(|id| ProcessGroup::led_by(id.try_into().unwrap()));
        let (sender, mut requests) = unbounded_channel();
        for request in before_start {
            sender.send(*request).unwrap();
        }
        let started = async move {
            // The line says that the script's traps are set.
            stdout.read_u8().await.unwrap();
            for request in after_start {
                sender.send(*request).unwrap();
            }
            // Keeps the pipe and the source of requests open.
            std::mem::forget((stdout, sender));
            group
        };
        let (status, reason) = supervise(limits, started, &mut requests, child.wait()).await;
        (status.unwrap(), reason)
    }

    const DEAF: &str = "trap '' INT; echo; while :; do sleep 0.05; done";
    const OBEDIENT: &str = "trap 'exit 7' INT; echo; while :; do sleep 0.05; done";

    #[tokio::test]
    async fn a_process_that_ends_by_itself_gets_no_signal() {
        let (status, reason) = run("echo; exit 3", Limits::default(), &[], &[]).await;
        assert_eq!((status.code(), reason), (Some(3), None));
    }

    #[tokio::test]
    async fn a_request_from_before_the_start_is_carried_out_after_it() {
        let early = [StopRequest::Terminate];
        let (status, reason) = run(OBEDIENT, Limits::default(), &early, &[]).await;
        assert_eq!((status.code(), reason), (Some(7), None));
    }

    #[tokio::test]
    async fn a_cancelled_process_may_end_in_order() {
        let (status, reason) = run(OBEDIENT, Limits::default(), &[], &[StopRequest::Cancel]).await;
        assert_eq!(status.code(), Some(7));
        assert_eq!(reason, Some(FailureReason::Cancelled));
    }

    #[tokio::test]
    async fn a_process_that_ignores_the_interrupt_is_killed_by_the_next_request() {
        let requests = [StopRequest::Interrupt, StopRequest::Kill];
        let (status, reason) = run(DEAF, Limits::default(), &[], &requests).await;
        assert_eq!((status.signal(), reason), (Some(libc::SIGKILL), None));
    }

    #[tokio::test]
    async fn a_process_that_ignores_the_interrupt_is_killed_after_the_grace_period() {
        let limits = Limits {
            timeout: Some(Duration::from_millis(50)),
            memory: None,
        };
        let began = Instant::now();
        let (status, reason) = run(DEAF, limits, &[], &[]).await;
        assert!(began.elapsed() >= GRACE_PERIOD);
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        assert_eq!(reason, Some(FailureReason::Timeout { limit: 0.05 }));
    }

    #[tokio::test]
    async fn a_process_with_too_much_memory_is_killed_at_once() {
        let limits = Limits {
            timeout: None,
            memory: Some(1),
        };
        let began = Instant::now();
        let (status, reason) = run(OBEDIENT, limits, &[], &[]).await;
        assert!(began.elapsed() < GRACE_PERIOD);
        assert_eq!(status.signal(), Some(libc::SIGKILL));
        assert!(matches!(reason, Some(FailureReason::Memory { limit: 1, held }) if held > 1));
    }
}
