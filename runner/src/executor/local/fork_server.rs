use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offmodel_events::batch::{AttemptRequest, ExitStatus, Report};
use offmodel_support::environment;
use offmodel_toolchain::openmp;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{RwLock, oneshot};
use tracing::debug;

use super::Allocation;
use crate::executor::process::ProcessGroup;

/// The environment variables from which the libraries in a program read the sizes of their thread
/// pools.
const THREAD_VARIABLES: [&str; 5] = [
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "TOKIO_WORKER_THREADS",
];

/// How often in a row a fork server that died is started again; an attempt that ends in between
/// resets the count.
const MAX_RESTARTS: usize = 3;

/// Runs attempts of one compiled notebook on this machine, each in a process of its own.
///
/// The program is started once, with `--serve`, loads libtorch and everything else, and then forks
/// one process for every attempt (as Python's `multiprocessing.forkserver` does): an attempt starts
/// in milliseconds, and its memory is shared with the server until it is written to.
#[derive(Debug)]
pub struct ForkServer {
    command: ServerCommand,
    /// The server that lives now; [`restart`](Self::restart) replaces it.
    server: RwLock<Server>,
    restarts: AtomicUsize,
}

/// How the program is started as a server.
#[derive(Debug)]
struct ServerCommand {
    program: PathBuf,
    directory: PathBuf,
    threads: usize,
    outranks_environment: bool,
}

/// A running server.
#[derive(Debug)]
struct Server {
    /// The server ends when this sender is dropped, and kills its attempts.
    requests: UnboundedSender<Vec<u8>>,
    reports: Arc<ReportRouter>,
}

/// Why attempts cannot be executed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ExecutorError {
    /// The program does not start.
    #[error("failed to start {}: {reason}", program.display())]
    Start {
        /// The executable.
        program: PathBuf,
        /// The error of the system.
        reason: String,
    },
    /// The fork server ended before its attempts did.
    #[error(
        "the process that starts attempts ended before its attempts did: {exit}{}",
        after_colon(stderr)
    )]
    Died {
        /// Its exit status, in words.
        exit: String,
        /// The beginning of its standard error.
        stderr: String,
    },
    /// The system started no process for an attempt.
    #[error("failed to start a process for an attempt: {reason}")]
    Refused {
        /// The error of the system.
        reason: String,
    },
}

/// Hands each report of a server to the attempt that waits for it.
#[derive(Debug, Default)]
struct ReportRouter {
    /// By the attempt's folder; stays empty once the server has ended.
    waiting: Mutex<HashMap<PathBuf, UnboundedSender<Report>>>,
    /// How the server ended.
    end: Mutex<Option<ExecutorError>>,
}

impl ForkServer {
    /// Starts the program and waits until it has loaded everything.
    ///
    /// Attempts work in `directory`: the notebook's folder, as in Jupyter. `threads` is the size of
    /// each thread pool of an attempt; the user's environment variables count more, unless
    /// `outranks_environment`.
    ///
    /// # Errors
    /// When the program does not start.
    pub async fn start(
        program: &Path,
        directory: &Path,
        threads: usize,
        outranks_environment: bool,
    ) -> Result<Self, ExecutorError> {
        let command = ServerCommand {
            program: program.to_owned(),
            directory: directory.to_owned(),
            threads,
            outranks_environment,
        };
        Ok(Self {
            server: RwLock::new(Server::start(&command).await?),
            command,
            restarts: AtomicUsize::new(0),
        })
    }

    /// Starts the program again if it died.
    ///
    /// # Errors
    /// When it does not start, or died more than [`MAX_RESTARTS`] times without an attempt that ended in
    /// between.
    pub async fn restart(&self) -> Result<(), ExecutorError> {
        let mut server = self.server.write().await;
        let Some(error) = server.reports.end() else {
            // The server died under several attempts, and another one has restarted it already.
            return Ok(());
        };
        debug!(%error, "fork server died");
        if self.restarts.fetch_add(1, Ordering::Relaxed) >= MAX_RESTARTS {
            return Err(error);
        }
        *server = Server::start(&self.command).await?;
        Ok(())
    }

    /// Runs the attempt whose `spec.json` lies in `folder`, and sends its process group to
    /// `started` once it exists.
    ///
    /// # Errors
    /// When the process could not be started, or the server ended.
    pub async fn execute(
        &self,
        folder: &Path,
        allocation: &Allocation,
        started: oneshot::Sender<ProcessGroup>,
    ) -> Result<ExitStatus, ExecutorError> {
        let refused = |reason: String| ExecutorError::Refused { reason };
        // The program works in the notebook's folder, where a relative path would name another one.
        let folder = std::path::absolute(folder).map_err(|error| refused(error.to_string()))?;
        let request = AttemptRequest {
            folder,
            environment: allocation.environment(),
            cores: allocation.cores.clone(),
        };
        let mut line = serde_json::to_vec(&request).map_err(|error| refused(error.to_string()))?;
        line.push(b'\n');
        let (router, mut reports) = {
            let server = self.server.read().await;
            let reports = server.reports.register(&request.folder)?;
            // Fails if the server is gone; `reports` ends then, too.
            let _ = server.requests.send(line);
            (Arc::clone(&server.reports), reports)
        };
        let mut started = Some(started);
        while let Some(report) = reports.recv().await {
            match report {
                Report::Started { process, .. } => {
                    if let (Some(started), Some(group)) =
                        (started.take(), ProcessGroup::led_by(process))
                    {
                        // Without a receiver, nothing supervises the process any more.
                        let _ = started.send(group);
                    }
                }
                Report::Refused { reason, .. } => return Err(refused(reason)),
                Report::Ended { exit_status, .. } => {
                    self.restarts.store(0, Ordering::Relaxed);
                    return Ok(exit_status);
                }
                Report::Ready => {}
            }
        }
        Err(router.end().unwrap_or_else(|| ExecutorError::Died {
            exit: "it stopped reporting".to_owned(),
            stderr: String::new(),
        }))
    }
}

impl Server {
    async fn start(command: &ServerCommand) -> Result<Self, ExecutorError> {
        let failed = |error: std::io::Error| ExecutorError::Start {
            program: command.program.clone(),
            reason: error.to_string(),
        };
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let mut process = command.build(&writer).spawn().map_err(failed)?;
        drop(writer);
        let (Some(stdin), Some(stderr)) = (process.stdin.take(), process.stderr.take()) else {
            return Err(failed(std::io::Error::other(
                "its standard streams are missing",
            )));
        };
        let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(failed)?;
        let mut lines = BufReader::new(reader).lines();
        match next_report(&mut lines).await {
            Some(Report::Ready) => {}
            _ => return Err(death(process, read_beginning(stderr).await).await),
        }
        debug!(pid = process.id(), "fork server ready");
        let (requests, inbox) = unbounded_channel();
        let reports = Arc::new(ReportRouter::default());
        tokio::spawn(write_requests(stdin, inbox));
        tokio::spawn(route_reports(lines, stderr, process, Arc::clone(&reports)));
        Ok(Self { requests, reports })
    }
}

impl ReportRouter {
    fn register(&self, folder: &Path) -> Result<UnboundedReceiver<Report>, ExecutorError> {
        let (sender, receiver) = unbounded_channel();
        lock(&self.waiting).insert(folder.to_owned(), sender);
        // Checked after the insertion, while `close` records the end before it clears `waiting`:
        // whichever comes first, no attempt waits for a server that is gone.
        match &*lock(&self.end) {
            Some(error) => Err(error.clone()),
            None => Ok(receiver),
        }
    }

    fn route(&self, report: Report) {
        let (folder, is_last) = match &report {
            Report::Ready => return,
            Report::Started { folder, .. } => (folder.clone(), false),
            Report::Refused { folder, .. } | Report::Ended { folder, .. } => (folder.clone(), true),
        };
        let mut waiting = lock(&self.waiting);
        if let Some(sender) = waiting.get(&folder) {
            // Fails if the attempt no longer waits.
            let _ = sender.send(report);
        }
        if is_last {
            waiting.remove(&folder);
        }
    }

    fn close(&self, error: ExecutorError) {
        *lock(&self.end) = Some(error);
        lock(&self.waiting).clear();
    }

    fn end(&self) -> Option<ExecutorError> {
        lock(&self.end).clone()
    }
}

impl ServerCommand {
    fn build(&self, reports: &std::io::PipeWriter) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--serve")
            .current_dir(&self.directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .env(environment::REPORTS_FD, reports.as_raw_fd().to_string())
            .envs(openmp::environment())
            // Ctrl-C in a terminal reaches the runner alone, which stops its attempts in order.
            .process_group(0)
            .kill_on_drop(true);
        let threads = self.threads.to_string();
        for variable in THREAD_VARIABLES {
            if self.outranks_environment || std::env::var_os(variable).is_none() {
                command.env(variable, &threads);
            }
        }
        let descriptor = reports.as_raw_fd();
        let prepare_child = move || {
            // SAFETY: `fcntl` is async-signal-safe, and the descriptor is open in the child until
            // it becomes the program.
            if unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) } == -1 {
                return Err(std::io::Error::last_os_error());
            }
            // Slurm sends SIGTERM to every process of a job. The server must outlive its attempts,
            // which install handlers of their own and may still save their work.
            // SAFETY: `signal` is async-signal-safe.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
            Ok(())
        };
        // SAFETY: the closure makes two async-signal-safe calls and allocates nothing.
        unsafe { command.pre_exec(prepare_child) };
        command
    }
}

async fn write_requests(mut stdin: ChildStdin, mut requests: UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = requests.recv().await {
        if stdin.write_all(&line).await.is_err() {
            return;
        }
    }
}

type ReportLines = tokio::io::Lines<BufReader<pipe::Receiver>>;

async fn route_reports(
    mut lines: ReportLines,
    stderr: ChildStderr,
    server: Child,
    router: Arc<ReportRouter>,
) {
    let stderr = tokio::spawn(read_beginning(stderr));
    while let Some(report) = next_report(&mut lines).await {
        router.route(report);
    }
    let stderr = stderr.await.unwrap_or_default();
    router.close(death(server, stderr).await);
}

async fn death(mut server: Child, stderr: String) -> ExecutorError {
    let exit = match server.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    ExecutorError::Died { exit, stderr }
}

/// The next report; `None` at the end. Lines that cannot be parsed are skipped: a program that was
/// built by another version of offmodel may report more.
async fn next_report(lines: &mut ReportLines) -> Option<Report> {
    loop {
        let line = lines.next_line().await.ok()??;
        if let Ok(report) = serde_json::from_str(&line) {
            return Some(report);
        }
    }
}

/// Reads to the end, so that the writer never blocks, and returns the beginning.
async fn read_beginning(mut stderr: ChildStderr) -> String {
    const LIMIT: usize = 16 * 1024;
    let mut beginning = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let room = LIMIT.saturating_sub(beginning.len()).min(count);
        beginning.extend_from_slice(&buffer[..room]);
    }
    String::from_utf8_lossy(&beginning).trim().to_owned()
}

fn after_colon(stderr: &str) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!(": {stderr}")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section is one assignment, insertion or removal, so a poisoned value is still
    // consistent.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
