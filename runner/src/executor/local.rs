use std::collections::HashMap;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use offmodel_events::batch::{AttemptRequest, ExitStatus, Report};
use offmodel_toolchain::openmp;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, ChildStdin, Command};
use tokio::sync::RwLock;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Place;

/// How many threads the libraries inside a program start, by their own variables.
const THREAD_VARIABLES: [&str; 5] = [
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "TOKIO_WORKER_THREADS",
];

/// So often in a row, without an attempt that ended in between, a serving program that died is
/// started again.
const RESTARTS: usize = 3;

/// Runs attempts of one program on this machine, each in a process of its own, forked from one
/// that has everything loaded.
#[derive(Debug)]
pub struct LocalExecutor {
    start: Start,
    /// The one of now; those before have died.
    server: RwLock<Server>,
    deaths: AtomicUsize,
}

/// How the serving program is started.
#[derive(Debug)]
struct Start {
    program: PathBuf,
    directory: PathBuf,
    threads: usize,
    strict: bool,
}

/// A running serving program.
#[derive(Debug)]
struct Server {
    /// It ends when this is dropped, and its attempts with it.
    requests: UnboundedSender<Vec<u8>>,
    attempts: Arc<Attempts>,
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
        /// What the system said.
        reason: String,
    },
    /// The serving program ended.
    #[error(
        "the serving program ended before its attempts did: {ending}{}",
        said(output)
    )]
    Died {
        /// Its exit status.
        ending: String,
        /// What it wrote to its standard error.
        output: String,
    },
    /// The system refused a process.
    #[error("failed to start a process for an attempt: {reason}")]
    Refused {
        /// What the system said.
        reason: String,
    },
}

/// The attempts that wait for reports, by folder; empty for good once the server has ended.
#[derive(Debug, Default)]
struct Attempts {
    waiting: Mutex<HashMap<PathBuf, UnboundedSender<Report>>>,
    ended: Mutex<Option<ExecutorError>>,
}

impl LocalExecutor {
    /// Starts the program and waits until it has loaded everything.
    ///
    /// Attempts work in `directory`: the notebook's folder, as in Jupyter. `threads` is the size of
    /// each thread pool of an attempt; the environment may say otherwise, unless `strict`.
    ///
    /// # Errors
    /// When the program does not start.
    pub async fn start(
        program: &Path,
        directory: &Path,
        threads: usize,
        strict: bool,
    ) -> Result<Self, ExecutorError> {
        let start = Start {
            program: program.to_owned(),
            directory: directory.to_owned(),
            threads,
            strict,
        };
        Ok(Self {
            server: RwLock::new(Server::start(&start).await?),
            start,
            deaths: AtomicUsize::new(0),
        })
    }

    /// Starts the program again if it died.
    ///
    /// # Errors
    /// When it does not start, or died too often with nothing done in between.
    pub async fn restart(&self) -> Result<(), ExecutorError> {
        let mut server = self.server.write().await;
        let Some(error) = server.attempts.death() else {
            // Another attempt was quicker.
            return Ok(());
        };
        if self.deaths.fetch_add(1, Ordering::Relaxed) >= RESTARTS {
            return Err(error);
        }
        *server = Server::start(&self.start).await?;
        Ok(())
    }

    /// Runs the attempt whose `spec.json` lies in `folder`; `started` gets its process, which
    /// leads a process group of its own.
    ///
    /// # Errors
    /// When it could not be started, or the serving program ended.
    pub async fn execute(
        &self,
        folder: &Path,
        place: &Place,
        started: impl FnOnce(i32),
    ) -> Result<ExitStatus, ExecutorError> {
        // The program works in the notebook's folder, where a relative path means another.
        let folder = std::path::absolute(folder).map_err(|error| ExecutorError::Refused {
            reason: error.to_string(),
        })?;
        let request = AttemptRequest {
            folder,
            environment: place.environment(),
            cores: place.cores.clone(),
        };
        let mut line = serde_json::to_vec(&request).map_err(|error| ExecutorError::Refused {
            reason: error.to_string(),
        })?;
        line.push(b'\n');
        let (attempts, mut reports) = {
            let server = self.server.read().await;
            let reports = server.attempts.register(&request.folder)?;
            // If the server is gone, the reports end as well.
            let _ = server.requests.send(line);
            (Arc::clone(&server.attempts), reports)
        };
        let mut started = Some(started);
        while let Some(report) = reports.recv().await {
            match report {
                Report::Started { process, .. } => {
                    if let Some(started) = started.take() {
                        started(process);
                    }
                }
                Report::Refused { reason, .. } => return Err(ExecutorError::Refused { reason }),
                Report::Ended { exit_status, .. } => {
                    self.deaths.store(0, Ordering::Relaxed);
                    return Ok(exit_status);
                }
                Report::Ready => {}
            }
        }
        Err(attempts.reason())
    }
}

impl Server {
    async fn start(start: &Start) -> Result<Self, ExecutorError> {
        let failed = |error: std::io::Error| ExecutorError::Start {
            program: start.program.clone(),
            reason: error.to_string(),
        };
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        let mut server = server_command(start, &writer).spawn().map_err(failed)?;
        drop(writer);
        let (Some(stdin), Some(stderr)) = (server.stdin.take(), server.stderr.take()) else {
            return Err(failed(std::io::Error::other(
                "its standard streams are missing",
            )));
        };
        let reader = pipe::Receiver::from_owned_fd(reader.into()).map_err(failed)?;
        let mut reports = BufReader::new(reader).lines();
        match next_report(&mut reports).await {
            Some(Report::Ready) => {}
            _ => {
                return Err(death(server, read_all(stderr).await).await);
            }
        }
        let (requests, inbox) = unbounded_channel();
        let attempts = Arc::new(Attempts::default());
        tokio::spawn(write_requests(stdin, inbox));
        tokio::spawn(deliver_reports(
            reports,
            stderr,
            server,
            Arc::clone(&attempts),
        ));
        Ok(Self { requests, attempts })
    }
}

impl Attempts {
    fn register(&self, folder: &Path) -> Result<UnboundedReceiver<Report>, ExecutorError> {
        let (sender, receiver) = unbounded_channel();
        lock(&self.waiting).insert(folder.to_owned(), sender);
        // Looked at after registering: the server's end comes before its attempts are let go.
        match &*lock(&self.ended) {
            Some(error) => Err(error.clone()),
            None => Ok(receiver),
        }
    }

    fn deliver(&self, report: Report) {
        let (folder, is_last) = match &report {
            Report::Ready => return,
            Report::Started { folder, .. } => (folder.clone(), false),
            Report::Refused { folder, .. } | Report::Ended { folder, .. } => (folder.clone(), true),
        };
        let mut waiting = lock(&self.waiting);
        if let Some(sender) = waiting.get(&folder) {
            // Whoever no longer waits has no use for it.
            let _ = sender.send(report);
        }
        if is_last {
            waiting.remove(&folder);
        }
    }

    fn end(&self, error: ExecutorError) {
        *lock(&self.ended) = Some(error);
        lock(&self.waiting).clear();
    }

    /// How the server ended, if it did.
    fn death(&self) -> Option<ExecutorError> {
        lock(&self.ended).clone()
    }

    fn reason(&self) -> ExecutorError {
        self.death().unwrap_or_else(|| ExecutorError::Died {
            ending: "it stopped reporting".to_owned(),
            output: String::new(),
        })
    }
}

fn server_command(start: &Start, reports: &std::io::PipeWriter) -> Command {
    let mut command = Command::new(&start.program);
    command
        .arg("--serve")
        .current_dir(&start.directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .env(offmodel_support::environment::REPORTS_FD, reports.as_raw_fd().to_string())
        .envs(openmp::environment())
        // Ctrl-C in a terminal reaches the runner alone, which tells its attempts in order.
        .process_group(0)
        .kill_on_drop(true);
    let threads = start.threads.to_string();
    for variable in THREAD_VARIABLES {
        // What the sweep file says outranks the environment.
        if start.strict || std::env::var_os(variable).is_none() {
            command.env(variable, &threads);
        }
    }
    let descriptor = reports.as_raw_fd();
    let inherit = move || {
        // SAFETY: F_SETFD on a descriptor that is open in the child until it becomes the
        // program; async-signal-safe.
        if unsafe { libc::fcntl(descriptor, libc::F_SETFD, 0) } == -1 {
            return Err(std::io::Error::last_os_error());
        }
        // Slurm signals every process of a job: the server must outlive its attempts, which have
        // handlers of their own and may still want to save something.
        // SAFETY: async-signal-safe.
        unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
        Ok(())
    };
    // SAFETY: the closure makes two async-signal-safe system calls and allocates nothing.
    unsafe { command.pre_exec(inherit) };
    command
}

async fn write_requests(mut stdin: ChildStdin, mut requests: UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = requests.recv().await {
        if stdin.write_all(&line).await.is_err() {
            return;
        }
    }
}

type Reports = tokio::io::Lines<BufReader<pipe::Receiver>>;

async fn deliver_reports(
    mut reports: Reports,
    stderr: ChildStderr,
    server: Child,
    attempts: Arc<Attempts>,
) {
    let output = tokio::spawn(read_all(stderr));
    while let Some(report) = next_report(&mut reports).await {
        attempts.deliver(report);
    }
    let output = output.await.unwrap_or_default();
    attempts.end(death(server, output).await);
}

async fn death(mut server: Child, output: String) -> ExecutorError {
    let ending = match server.wait().await {
        Ok(status) => status.to_string(),
        Err(error) => error.to_string(),
    };
    ExecutorError::Died { ending, output }
}

/// The next report; `None` at the end. Reports that we do not know are skipped.
async fn next_report(reports: &mut Reports) -> Option<Report> {
    loop {
        let line = reports.next_line().await.ok()??;
        if let Ok(report) = serde_json::from_str(&line) {
            return Some(report);
        }
    }
}

/// Reads to the end; keeps the first part.
async fn read_all(mut stderr: ChildStderr) -> String {
    const KEPT: usize = 16 * 1024;
    let mut kept = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let room = KEPT.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&buffer[..room]);
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

fn said(output: &str) -> String {
    if output.is_empty() {
        String::new()
    } else {
        format!(": {output}")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every critical section is one insertion or removal: none leaves half a change behind.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
