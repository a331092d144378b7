//! A kernel from its start to its shutdown.

use std::marker::PhantomData;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use jupyter_protocol::{ConnectionInfo, Status};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use crate::connection::{ConnectionError, SocketFiles, Sockets};
use crate::handlers::comms::Comms;
use crate::handlers::control::Control;
use crate::handlers::execute::Executor;
use crate::handlers::shell::Shell;
use crate::interrupts::Interrupts;
use crate::language::Language;
use crate::language_thread::LanguageThread;
use crate::log::warning;
use crate::sockets::iopub::IoPub;
use crate::sockets::{heartbeat, iopub, requests, stdin};

/// How long the language may take to stop. Front ends kill a kernel that takes more than 5 seconds
/// to shut down.
const LANGUAGE_STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// How often the language is killed again while it stops.
const KILL_INTERVAL: Duration = Duration::from_millis(50);
/// How long ZeroMQ gets to send what it has been given: this implementation sends in the background
/// and drops the rest when its sockets close.
const SEND_GRACE_PERIOD: Duration = Duration::from_millis(150);

/// A request to shut the kernel down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shutdown {
    /// Whether the front end will start the kernel again, with the same connection file.
    pub restart: bool,
}

/// A running kernel.
pub struct Kernel<L> {
    handle: KernelHandle,
    shutdown: watch::Receiver<Option<Shutdown>>,
    iopub: IoPub,
    language: LanguageThread<L>,
    language_thread: thread::JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    _files: SocketFiles,
}

/// Interrupts or shuts down a running kernel when its process gets a signal. Cheap to clone.
#[derive(Clone)]
pub struct KernelHandle {
    interrupts: Interrupts,
    shutdown: watch::Sender<Option<Shutdown>>,
}

impl KernelHandle {
    /// Interrupts the running cell, as an `interrupt_request` does.
    pub fn interrupt(&self) {
        self.interrupts.interrupt();
    }

    /// Makes the kernel shut down, as a `shutdown_request` does.
    pub fn shut_down(&self) {
        self.shutdown
            .send_replace(Some(Shutdown { restart: false }));
    }
}

impl<L: Language> Kernel<L> {
    /// Binds the sockets and starts the language in the background. Requests that need no language
    /// get their replies meanwhile.
    ///
    /// # Errors
    /// When a socket cannot be bound, or the language's thread cannot be started.
    pub async fn start(info: &ConnectionInfo) -> Result<Self, ConnectionError> {
        let sockets = Sockets::bind(info).await?;
        let (iopub, iopub_task) = iopub::open(sockets.iopub);
        iopub.publish(None, Status::starting()).await;
        let interrupts = Interrupts::new(iopub.clone());
        let (language, language_thread) =
            LanguageThread::<L>::start(interrupts.clone()).map_err(ConnectionError::Thread)?;
        let (shell_requests, shell_replies, shell_task) = requests::listen("shell", sockets.shell);
        let (control_requests, control_replies, control_task) =
            requests::listen("control", sockets.control);
        let (stdin, stdin_task) = stdin::listen(sockets.stdin);
        let (shutdown, shutdown_receiver) = watch::channel(None);
        let control = Control {
            interrupts: interrupts.clone(),
            iopub: iopub.clone(),
            shutdown: shutdown.clone(),
            language: PhantomData,
        };
        let shell = Shell {
            executor: Executor {
                language: language.clone(),
                iopub: iopub.clone(),
                stdin: Arc::new(Mutex::new(stdin)),
                interrupts: interrupts.clone(),
                received: shell_requests.counter.clone(),
                history: Default::default(),
                execution_count: 0,
                abort_through: 0,
            },
            comms: Comms::new(L::comm_targets()),
            control: control.clone(),
            iopub: iopub.clone(),
            replies: shell_replies,
        };
        let tasks = vec![
            tokio::spawn(shell.run(shell_requests)),
            tokio::spawn(control.run(control_requests, control_replies)),
            heartbeat::listen(sockets.heartbeat),
            shell_task,
            control_task,
            stdin_task,
            iopub_task,
        ];
        tracing::info!("kernel started");
        Ok(Self {
            handle: KernelHandle {
                interrupts,
                shutdown,
            },
            shutdown: shutdown_receiver,
            iopub,
            language,
            language_thread,
            tasks,
            _files: sockets.files,
        })
    }

    /// Returns a handle with which signal handlers interrupt the kernel or shut it down.
    pub fn handle(&self) -> KernelHandle {
        self.handle.clone()
    }

    /// Waits for the shutdown, sends what is still to be sent, and stops the language.
    pub async fn run_until_shutdown(mut self) -> Shutdown {
        let shutdown = self
            .shutdown
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|shutdown| *shutdown)
            // Fails only if every sender is gone, and `self.handle` is one.
            .unwrap_or(Shutdown { restart: false });
        tracing::info!(restart = shutdown.restart, "kernel shuts down");
        let grace_period = tokio::time::sleep(SEND_GRACE_PERIOD);
        self.iopub.flush().await;
        grace_period.await;
        for task in &self.tasks {
            task.abort();
        }
        self.language.stop();
        let deadline = Instant::now() + LANGUAGE_STOP_TIMEOUT;
        while !self.language_thread.is_finished() && Instant::now() < deadline {
            // Repeated, because a language may replace a process that was killed.
            self.handle.interrupts.kill();
            tokio::time::sleep(KILL_INTERVAL).await;
        }
        self.handle.interrupts.kill();
        if !self.language_thread.is_finished() {
            warning("the language did not stop in time");
        }
        shutdown
    }
}
