//! Work that may not be trusted with this process, in a child of it.
//!
//! A template can double a text or nest a list with every instruction, and its own engine counts
//! instructions, not bytes. A child has limits of memory and time that the operating system keeps,
//! and takes nothing with it when it reaches them. It is forked, not started: there is no other
//! program to start, and the chats are at hand. A fork takes milliseconds, so many texts share one.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// A child that waits for something will wait for ever. Long, as a stopped machine is no reason.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often the patience is looked at.
const TICK_MILLISECONDS: libc::c_int = 1000;
/// Bytes of all texts of a child.
const LARGEST_TOTAL: usize = 1 << 30;

/// What a child may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes beside those that the process already has.
    memory: u64,
    /// Of a processor.
    seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            seconds: 10,
        }
    }
}

/// Why a child did not give all texts.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfinished {
    #[error("it needs more than {} MB of memory, or nests too deep", .0.memory >> 20)]
    Memory(Limits),
    #[error("it takes more than {} s", .0.seconds)]
    Time(Limits),
    #[error("it has done nothing for {} s", PATIENCE.as_secs())]
    Stuck,
    #[error("the texts are longer than {LARGEST_TOTAL} bytes together")]
    Length,
    #[error("failed to run it in a process of its own: {0}")]
    System(#[from] io::Error),
}

/// What `make` gives for 0, 1, ... up to `count`, made in a child process: a text, or an error in
/// words. `make` may use what belongs to this thread, but must not wait for any other: in the child
/// there is none.
pub(super) fn texts(
    limits: Limits,
    count: usize,
    make: impl Fn(usize) -> Result<String, String>,
) -> Result<Vec<Result<String, String>>, Unfinished> {
    let (reader, writer) = io::pipe()?;
    let (reader_fd, nowhere) = (
        reader.as_raw_fd(),
        OpenOptions::new().write(true).open("/dev/null")?,
    );
    let memory = address_space()? + limits.memory;
    // SAFETY: the child has only the forking thread. It runs `make`, which allocates (glibc's
    // allocator may be used after a fork) and waits for no other thread, and leaves with `_exit`,
    // so that nothing of this process is flushed or dropped twice.
    let child = match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error().into()),
        0 => {
            let written = catch_unwind(AssertUnwindSafe(|| {
                confine(reader_fd, nowhere.as_raw_fd(), memory, limits.seconds)?;
                let mut output = BufWriter::new(&writer);
                (0..count).try_for_each(|index| write(&mut output, &make(index)))?;
                output.flush()
            }));
            let status = i32::from(!matches!(written, Ok(Ok(()))));
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(status) }
        }
        child => Child(child),
    };
    drop(writer);
    let bytes = child.output(reader)?;
    let mut texts = Vec::with_capacity(count);
    let mut rest = bytes.as_slice();
    while let Some(text) = read(&mut rest) {
        texts.push(text);
    }
    match texts.len() == count {
        true => Ok(texts),
        false => Err(child.end(limits)),
    }
}

/// What the child does before anything else.
fn confine(reader: RawFd, nowhere: RawFd, memory: u64, seconds: u64) -> io::Result<()> {
    let limits = [
        (libc::RLIMIT_AS, memory, memory),
        // The first limit is a signal that says which one it was, the second the end.
        (libc::RLIMIT_CPU, seconds, seconds + 1),
        (libc::RLIMIT_CORE, 0, 0),
    ];
    for (resource, soft, hard) in limits {
        let limit = libc::rlimit {
            rlim_cur: soft,
            rlim_max: hard,
        };
        // SAFETY: the limit outlives the call, and lowering one's own limits is always allowed.
        if unsafe { libc::setrlimit(resource, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: both descriptors are open. The reader's is closed so that the child notices when
    // nobody reads any more; standard error would get the last words of a refused allocation.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::close(reader);
        libc::dup2(nowhere, libc::STDERR_FILENO);
    }
    Ok(())
}

/// A forked process, which is ended and forgotten when it is dropped.
struct Child(libc::pid_t);

impl Child {
    /// Everything that it writes.
    fn output(&self, mut reader: io::PipeReader) -> Result<Vec<u8>, Unfinished> {
        let started = Instant::now();
        let (mut bytes, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
        loop {
            let mut waiting = libc::pollfd {
                fd: reader.as_raw_fd(),
                events: libc::POLLIN,
                revents: 0,
            };
            // SAFETY: one descriptor, which is open and outlives the call.
            let ready = unsafe { libc::poll(&raw mut waiting, 1, TICK_MILLISECONDS) };
            if ready <= 0 {
                if started.elapsed() > PATIENCE {
                    return Err(Unfinished::Stuck);
                }
                continue;
            }
            match reader.read(&mut buffer)? {
                0 => return Ok(bytes),
                read if bytes.len() + read > LARGEST_TOTAL => return Err(Unfinished::Length),
                read => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    /// Why it ended before its work did.
    fn end(self, limits: Limits) -> Unfinished {
        match self.wait() {
            Some(status) if libc::WIFSIGNALED(status) => match libc::WTERMSIG(status) {
                libc::SIGXCPU => Unfinished::Time(limits),
                // What Rust does about a refused allocation and about a full stack.
                libc::SIGABRT | libc::SIGSEGV | libc::SIGBUS | libc::SIGKILL => {
                    Unfinished::Memory(limits)
                }
                signal => io::Error::other(format!("it was ended by signal {signal}")).into(),
            },
            Some(status) => io::Error::other(format!("it ended with status {status}")).into(),
            None => io::Error::other("it ended before its work did").into(),
        }
    }

    fn wait(&self) -> Option<libc::c_int> {
        let mut status = 0;
        loop {
            // SAFETY: waits for a process that this one has forked and nobody else waits for.
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
        // SAFETY: the process is ours and, as nobody has waited for it, its number is still its own;
        // where somebody has, `waitpid` finds no such child and no signal is sent.
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

/// One byte, the length in eight, and the text.
fn write(output: &mut impl Write, text: &Result<String, String>) -> io::Result<()> {
    let (is_error, text) = match text {
        Ok(text) => (0, text),
        Err(text) => (1, text),
    };
    output.write_all(&[is_error])?;
    output.write_all(&(text.len() as u64).to_le_bytes())?;
    output.write_all(text.as_bytes())
}

/// The next text, unless it is cut off.
fn read(bytes: &mut &[u8]) -> Option<Result<String, String>> {
    let (&is_error, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    let text = String::from_utf8(text.to_vec()).ok()?;
    Some(if is_error == 0 { Ok(text) } else { Err(text) })
}

/// Bytes of addresses that this process uses.
fn address_space() -> io::Result<u64> {
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
    fn texts_and_errors_come_back_in_order() {
        let made = texts(Limits::default(), 300, |index| match index % 3 {
            0 => Err(format!("no {index}")),
            _ => Ok("é\n".repeat(index)),
        });
        let made = made.unwrap();
        assert_eq!(made.len(), 300);
        assert_eq!(made[3], Err("no 3".to_owned()));
        assert_eq!(made[299], Ok("é\n".repeat(299)));
        assert!(
            texts(Limits::default(), 0, |_| unreachable!())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn what_is_changed_is_changed_in_the_child_only() {
        let value = std::cell::Cell::new(1);
        let made = texts(Limits::default(), 2, |_| {
            value.set(value.get() + 1);
            Ok(value.get().to_string())
        });
        assert_eq!(made.unwrap(), [Ok("2".to_owned()), Ok("3".to_owned())]);
        assert_eq!(value.get(), 1);
    }

    #[test]
    fn what_ends_the_child_does_not_end_us() {
        let limits = Limits {
            memory: 64 << 20,
            seconds: 1,
        };
        let greedy = texts(limits, 1, |_| Ok("x".repeat(1 << 30)));
        assert!(matches!(greedy, Err(Unfinished::Memory(_))), "{greedy:?}");
        let endless = texts(limits, 1, |_| {
            loop {
                std::hint::spin_loop();
            }
        });
        assert!(matches!(endless, Err(Unfinished::Time(_))), "{endless:?}");
        let panicking = texts(limits, 1, |_| panic!("in the child"));
        assert!(
            matches!(panicking, Err(Unfinished::System(_))),
            "{panicking:?}"
        );
        // SAFETY: of the child.
        let ended = texts(limits, 1, |_| unsafe { libc::_exit(3) });
        assert!(matches!(ended, Err(Unfinished::System(_))), "{ended:?}");
    }
}
