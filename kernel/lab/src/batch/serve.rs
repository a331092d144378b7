//! The serving program: loads all libraries once and forks one child per attempt.
//!
//! The parent stays single-threaded. A fork copies only the calling thread, so a lock that another
//! thread held at that moment would stay locked in the child forever.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Instant;

use offmodel_events::batch::{AttemptRequest, ExitStatus, Report, exit_code};
use offmodel_events::inherited_file;
use offmodel_support::environment::REPORTS_FD;

use super::{Notebook, attempt};
use crate::live::Raised;

/// The write end of the pipe by which the handler of `SIGCHLD` wakes the loop of [`Server::run`].
static WAKE: AtomicI32 = AtomicI32::new(-1);

struct Server {
    notebook: &'static Notebook,
    cells: fn() -> Result<(), Raised>,
    /// A duplicate of standard input, read without the standard library's buffer: `poll` does not
    /// see requests that wait in a buffer.
    requests: File,
    reports: File,
    /// The read end of the pipe of [`WAKE`].
    wake: OwnedFd,
    running: BTreeMap<libc::pid_t, RunningAttempt>,
}

struct RunningAttempt {
    folder: PathBuf,
    started: Instant,
}

/// Serves attempts until standard input ends, and returns the exit code.
pub(super) fn serve(notebook: &'static Notebook, cells: fn() -> Result<(), Raised>) -> i32 {
    match start(notebook, cells).and_then(Server::run) {
        Ok(()) => exit_code::SUCCESS,
        Err(error) => {
            eprintln!("error: failed to serve attempts: {error}");
            exit_code::RUNTIME_FAILED
        }
    }
}

fn start(notebook: &'static Notebook, cells: fn() -> Result<(), Raised>) -> io::Result<Server> {
    let reports = open_reports()?;
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!(
            "{threads} threads run before the first attempt, so forking is not safe"
        )));
    }
    let requests = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let wake = wake_on_child_exit()?;
    Ok(Server {
        notebook,
        cells,
        requests,
        reports,
        wake,
        running: BTreeMap::new(),
    })
}

impl Server {
    fn run(mut self) -> io::Result<()> {
        self.report(&Report::Ready)?;
        let mut pending = Vec::new();
        loop {
            let [input, exited] = readable([self.requests.as_raw_fd(), self.wake.as_raw_fd()])?;
            if exited {
                self.report_ended_attempts()?;
            }
            if input && !self.read_requests(&mut pending)? {
                self.kill_all();
                return Ok(());
            }
        }
    }

    /// Reads requests and starts those whose line is complete. Returns false at the end of input.
    fn read_requests(&mut self, pending: &mut Vec<u8>) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let count = match self.requests.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        pending.extend_from_slice(&buffer[..count]);
        while let Some(end) = pending.iter().position(|&byte| byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            let request = serde_json::from_slice(&line).map_err(io::Error::other)?;
            self.start_attempt(request)?;
        }
        Ok(true)
    }

    fn start_attempt(&mut self, request: AttemptRequest) -> io::Result<()> {
        // SAFETY: this process has a single thread, as `start` checked, so no lock can be held and
        // the child may do anything that a new process may.
        match unsafe { libc::fork() } {
            -1 => {
                let reason = io::Error::last_os_error().to_string();
                self.report(&Report::Refused {
                    folder: request.folder,
                    reason,
                })
            }
            0 => self.run_as_attempt(&request),
            process => {
                // The child does the same. Whichever of the two runs first, the group exists before
                // anyone can signal it.
                // SAFETY: both arguments are the id of our own child.
                unsafe { libc::setpgid(process, process) };
                let folder = request.folder.clone();
                self.running.insert(
                    process,
                    RunningAttempt {
                        folder: request.folder,
                        started: Instant::now(),
                    },
                );
                self.report(&Report::Started { folder, process })
            }
        }
    }

    /// Turns a forked child into the attempt: runs it and exits.
    fn run_as_attempt(&self, request: &AttemptRequest) -> ! {
        // SAFETY: plain system calls on our own process, and on inherited descriptors that the child
        // does not use again.
        unsafe {
            libc::setpgid(0, 0);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
            libc::close(self.requests.as_raw_fd());
            libc::close(self.reports.as_raw_fd());
            libc::close(self.wake.as_raw_fd());
            libc::close(WAKE.load(Ordering::Relaxed));
        }
        if let Ok(null) = File::options().read(true).write(true).open("/dev/null") {
            for descriptor in 0..=2 {
                // SAFETY: replaces an inherited standard stream by an open descriptor.
                unsafe { libc::dup2(null.as_raw_fd(), descriptor) };
            }
        }
        for (name, value) in &request.environment {
            // SAFETY: the child has a single thread.
            unsafe { std::env::set_var(name, value) };
        }
        restrict_to(&request.cores);
        attempt::exit(attempt::run(&request.folder, self.notebook, self.cells))
    }

    /// Reports every attempt whose process ended.
    fn report_ended_attempts(&mut self) -> io::Result<()> {
        let mut bytes = [0; 256];
        // SAFETY: reads into a buffer of the given length; the pipe does not block.
        while unsafe {
            libc::read(
                self.wake.as_raw_fd(),
                bytes.as_mut_ptr().cast(),
                bytes.len(),
            )
        } > 0
        {}
        while let Some((process, status, usage)) = wait_for_any() {
            // A process that an attempt left behind and that we inherited is not an attempt.
            let Some(RunningAttempt { folder, started }) = self.running.remove(&process) else {
                continue;
            };
            let exited = libc::WIFEXITED(status);
            let exit_status = ExitStatus {
                exit_code: exited.then(|| libc::WEXITSTATUS(status)),
                signal: libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)),
                seconds: started.elapsed().as_secs_f64(),
                // Linux reports kibibytes.
                peak_memory: u64::try_from(usage.ru_maxrss).unwrap_or_default() * 1024,
            };
            self.report(&Report::Ended {
                folder,
                exit_status,
            })?;
        }
        Ok(())
    }

    /// Kills all attempts: without the runner, nobody would store their results.
    fn kill_all(&mut self) {
        for &process in self.running.keys() {
            // SAFETY: the group's leader is our own child, not waited for yet, so the number is
            // still its own.
            unsafe { libc::kill(-process, libc::SIGKILL) };
        }
    }

    fn report(&mut self, report: &Report) -> io::Result<()> {
        let mut line = serde_json::to_vec(report).map_err(io::Error::other)?;
        line.push(b'\n');
        self.reports.write_all(&line)
    }
}

/// Restricts this process, and the threads that it will start, to `cores`. If the system refuses,
/// for example because a core went offline, the process may run on any core.
fn restrict_to(cores: &[usize]) {
    if cores.is_empty() {
        return;
    }
    // SAFETY: all zero bytes are the empty set of cores.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    for &core in cores {
        // CPU_SET does not check bounds.
        if core < libc::CPU_SETSIZE as usize {
            // SAFETY: `core` lies within the set.
            unsafe { libc::CPU_SET(core, &mut set) };
        }
    }
    // SAFETY: the set outlives the call and its size is passed; 0 stands for this process.
    unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) };
}

fn open_reports() -> io::Result<File> {
    let reports = inherited_file::take(REPORTS_FD)
        .ok_or_else(|| io::Error::other(format!("{REPORTS_FD} names no open descriptor")))?;
    // A program started by a cell must not hold the pipe open.
    // SAFETY: sets a flag of a descriptor that we own.
    unsafe { libc::fcntl(reports.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    Ok(reports)
}

/// A pipe that becomes readable when a child ends.
fn wake_on_child_exit() -> io::Result<OwnedFd> {
    extern "C" fn on_child_exit(_signal: libc::c_int) {
        let byte = 1_u8;
        // SAFETY: `write` is async-signal-safe. It may fail on a full pipe, which already wakes the
        // loop.
        unsafe {
            libc::write(
                WAKE.load(Ordering::Relaxed),
                std::ptr::from_ref(&byte).cast(),
                1,
            );
        }
    }
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) } == -1 {
        return Err(io::Error::last_os_error());
    }
    WAKE.store(ends[1], Ordering::Relaxed);
    let handler = on_child_exit as extern "C" fn(libc::c_int);
    // SAFETY: the handler above is async-signal-safe.
    unsafe { libc::signal(libc::SIGCHLD, handler as libc::sighandler_t) };
    // SAFETY: just opened and owned by nobody else. The write end stays open as long as the process.
    Ok(unsafe { OwnedFd::from_raw_fd(ends[0]) })
}

/// Waits until a descriptor is readable or closed, and returns which are.
fn readable(descriptors: [RawFd; 2]) -> io::Result<[bool; 2]> {
    let mut polled = descriptors.map(|fd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    });
    loop {
        // SAFETY: the array outlives the call and its length is passed.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, -1) };
        if ready >= 0 {
            return Ok(polled.map(|descriptor| descriptor.revents != 0));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// A child that ended, with its wait status and resource usage; none if no child has ended.
fn wait_for_any() -> Option<(libc::pid_t, libc::c_int, libc::rusage)> {
    let mut status = 0;
    // SAFETY: all zero bytes are a valid `rusage`, which holds only numbers.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are valid for the call.
    let process = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
    (process > 0).then_some((process, status, usage))
}
