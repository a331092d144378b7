//! A child process with limits, for work that this process does not trust.
//!
//! A template can double a string or nest a list with every instruction, and `minijinja` counts
//! instructions, not bytes. A child process has limits of memory and time that the operating system
//! enforces, and reaching them ends only the child.
//!
//! The child is forked rather than started from an executable: this code is in a library, so there
//! is no executable of ours to start, and a fork has the template and the chats already. A fork
//! takes milliseconds, so that many chats share one.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A child that has not ended by then is deadlocked. The time is long because a suspended machine
/// also counts.
const CHILD_TIMEOUT: Duration = Duration::from_mins(10);
/// How often [`CHILD_TIMEOUT`] is checked.
const POLL_INTERVAL_MILLISECONDS: libc::c_int = 1000;
/// Bytes that a child may return.
const MAX_OUTPUT_BYTES: usize = 1 << 30;

/// The limits of a child process.
#[derive(Debug, Clone, Copy)]
pub(super) struct SandboxLimits {
    /// Bytes of memory in addition to those that this process already uses.
    memory_bytes: u64,
    /// Seconds of processor time.
    cpu_seconds: u64,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self {
            memory_bytes: 512 << 20,
            cpu_seconds: 10,
        }
    }
}

/// Why a child did not return everything.
#[derive(Debug, thiserror::Error)]
pub(super) enum SandboxError {
    #[error("it needs more than {} MB of memory, or nests too deep", .0.memory_bytes >> 20)]
    Memory(SandboxLimits),
    #[error("it takes more than {} s", .0.cpu_seconds)]
    Time(SandboxLimits),
    #[error("it has done nothing for {} s", CHILD_TIMEOUT.as_secs())]
    Deadlock,
    #[error("the texts are longer than {MAX_OUTPUT_BYTES} bytes together")]
    OutputTooLong,
    #[error("failed to run it in a process of its own: {0}")]
    System(#[from] io::Error),
}

/// Calls `work` for 0, 1, ... up to `count` in a child process, and returns its results in order.
///
/// `work` may use everything that belongs to the calling thread, but must not wait for another
/// thread: the child has no other.
pub(super) fn run(
    limits: SandboxLimits,
    count: usize,
    work: impl Fn(usize) -> Result<String, String>,
) -> Result<Vec<Result<String, String>>, SandboxError> {
    let (reader, writer) = io::pipe()?;
    let dev_null = OpenOptions::new().write(true).open("/dev/null")?;
    let max_address_space = address_space_bytes()? + limits.memory_bytes;
    // SAFETY: the child has only the forking thread. It runs `work`, which allocates (glibc allows
    // that after a fork) and waits for no other thread, and it leaves by `_exit`, so that no buffer
    // of this process is flushed twice and no value dropped twice.
    let child = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error().into()),
        0 => {
            let written = catch_unwind(AssertUnwindSafe(|| {
                restrict_this_process(max_address_space, limits.cpu_seconds)?;
                detach_from_parent(reader.as_raw_fd(), dev_null.as_raw_fd());
                let mut output = BufWriter::new(&writer);
                (0..count).try_for_each(|index| write_frame(&mut output, &work(index)))?;
                output.flush()
            }));
            let status = i32::from(!matches!(written, Ok(Ok(()))));
            // SAFETY: ends the child without running any destructor.
            unsafe { libc::_exit(status) }
        }
        child => Child(child),
    };
    drop(writer);
    let bytes = child.read_output(reader)?;
    let mut results = Vec::with_capacity(count);
    let mut rest = bytes.as_slice();
    while let Some(result) = read_frame(&mut rest) {
        results.push(result);
    }
    if results.len() == count {
        Ok(results)
    } else {
        Err(child.into_error(limits))
    }
}

/// Sets the limits of this process, which is the child.
fn restrict_this_process(max_address_space: u64, cpu_seconds: u64) -> io::Result<()> {
    let limits = [
        (libc::RLIMIT_AS, max_address_space, max_address_space),
        // At the soft limit the process gets SIGXCPU, by which the parent recognises the cause.
        (libc::RLIMIT_CPU, cpu_seconds, cpu_seconds + 1),
        (libc::RLIMIT_CORE, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        let limit = libc::rlimit {
            rlim_cur: soft,
            rlim_max: hard,
        };
        // SAFETY: the limit outlives the call.
        if unsafe { libc::setrlimit(resource, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Makes this process, which is the child, end with its parent and write nothing to the terminal.
fn detach_from_parent(reader: RawFd, dev_null: RawFd) {
    // SAFETY: both descriptors are open. The child closes its copy of the reader so that writing
    // fails once the parent's copy is closed. Standard error would show Rust's message about a
    // refused allocation.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::close(reader);
        libc::dup2(dev_null, libc::STDERR_FILENO);
    }
}

/// A forked process. It is killed and waited for when it is dropped.
struct Child(libc::pid_t);

impl Child {
    /// Reads everything that the child writes.
    fn read_output(&self, mut reader: io::PipeReader) -> Result<Vec<u8>, SandboxError> {
        let started = Instant::now();
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            let mut descriptor = libc::pollfd {
                fd: reader.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one descriptor, which is open and outlives the call.
            let ready = unsafe { libc::poll(&raw mut descriptor, 1, POLL_INTERVAL_MILLISECONDS) };
            if ready <= 0 {
                if started.elapsed() > CHILD_TIMEOUT {
                    return Err(SandboxError::Deadlock);
                }
                continue;
            }
            match reader.read(&mut buffer)? {
                0 => return Ok(bytes),
                count if bytes.len() + count > MAX_OUTPUT_BYTES => {
                    return Err(SandboxError::OutputTooLong);
                }
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Why the child ended before it had returned everything.
    fn into_error(self, limits: SandboxLimits) -> SandboxError {
        match self.wait() {
            Some(status) if libc::WIFSIGNALED(status) => match libc::WTERMSIG(status) {
                libc::SIGXCPU => SandboxError::Time(limits),
                // How a Rust process ends when an allocation is refused or the stack is full.
                libc::SIGABRT | libc::SIGSEGV | libc::SIGBUS | libc::SIGKILL => {
                    SandboxError::Memory(limits)
                }
                signal => io::Error::other(format!("it was ended by signal {signal}")).into(),
            },
            Some(status) => io::Error::other(format!("it ended with status {status}")).into(),
            None => io::Error::other("it ended before its work did").into(),
        }
    }

    /// The wait status of the child; absent if it has been waited for.
    fn wait(&self) -> Option<libc::c_int> {
        let mut status = 0;
        loop {
            // SAFETY: the status outlives the call.
            let waited = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
            if waited == self.0 {
                return Some(status);
            }
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                return None;
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // SAFETY: the kernel does not reuse the number of a child before it is waited for. If
        // `into_error` has waited for it, `waitid` finds no such child, and no signal is sent.
        unsafe {
            let mut information: libc::siginfo_t = std::mem::zeroed();
            let id = self.0.cast_unsigned();
            let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            if libc::waitid(libc::P_PID, id, &raw mut information, options) == 0 {
                libc::kill(self.0, libc::SIGKILL);
                self.wait();
            }
        }
    }
}

/// Writes a result as one byte (1 for an error), the length in eight bytes, and the text.
fn write_frame(output: &mut impl Write, result: &Result<String, String>) -> io::Result<()> {
    let (is_error, text) = match result {
        Ok(text) => (0, text),
        Err(text) => (1, text),
    };
    output.write_all(&[is_error])?;
    output.write_all(&(text.len() as u64).to_le_bytes())?;
    output.write_all(text.as_bytes())
}

/// Takes the next result from `bytes`; none if it is incomplete.
fn read_frame(bytes: &mut &[u8]) -> Option<Result<String, String>> {
    let (&is_error, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    let text = String::from_utf8(text.to_vec()).ok()?;
    Some(if is_error == 0 { Ok(text) } else { Err(text) })
}

/// Bytes of the address space of this process, which `RLIMIT_AS` limits.
fn address_space_bytes() -> io::Result<u64> {
    const FILE: &str = "/proc/self/status";
    let status = std::fs::read_to_string(FILE)?;
    // VmSize:     1234 kB
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let size = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let kilobytes = size.ok_or_else(|| io::Error::other(format!("{FILE} has no VmSize")))?;
    Ok(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_back_in_order() {
        let results = run(SandboxLimits::default(), 300, |index| match index % 3 {
            0 => Err(format!("no {index}")),
            _ => Ok("é\n".repeat(index)),
        });
        let results = results.unwrap();
        assert_eq!(results.len(), 300);
        assert_eq!(results[3], Err("no 3".to_owned()));
        assert_eq!(results[299], Ok("é\n".repeat(299)));
        let nothing = run(SandboxLimits::default(), 0, |_| unreachable!());
        assert!(nothing.unwrap().is_empty());
    }

    #[test]
    fn changes_of_the_child_do_not_affect_this_process() {
        let value = std::cell::Cell::new(1);
        let results = run(SandboxLimits::default(), 2, |_| {
            value.set(value.get() + 1);
            Ok(value.get().to_string())
        });
        assert_eq!(results.unwrap(), [Ok("2".to_owned()), Ok("3".to_owned())]);
        assert_eq!(value.get(), 1);
    }

    #[test]
    fn the_error_tells_how_the_child_ended() {
        let limits = SandboxLimits {
            memory_bytes: 64 << 20,
            cpu_seconds: 1,
        };
        let greedy = run(limits, 1, |_| Ok("x".repeat(1 << 30)));
        assert!(matches!(greedy, Err(SandboxError::Memory(_))), "{greedy:?}");
        let endless = run(limits, 1, |_| {
            loop {
                std::hint::spin_loop();
            }
        });
        assert!(matches!(endless, Err(SandboxError::Time(_))), "{endless:?}");
        let panicking = run(limits, 1, |_| panic!("in the child"));
        assert!(
            matches!(panicking, Err(SandboxError::System(_))),
            "{panicking:?}"
        );
        // SAFETY: ends the child only.
        let exiting = run(limits, 1, |_| unsafe { libc::_exit(3) });
        assert!(
            matches!(exiting, Err(SandboxError::System(_))),
            "{exiting:?}"
        );
    }
}
