//! A kernel from its start to its end.

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

/// How long the language may take to put its things away. Front ends kill a kernel that takes
/// more than 5 seconds to end.
const GRACE: Duration = Duration::from_secs(3);
/// ZeroMQ sends in the background and, in this implementation, forgets what is left on closing.
const LINGER: Duration = Duration::from_millis(150);

/// How a kernel ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// The front end will start it again, with the same connection file.
    pub restart: bool,
}

/// A running kernel.
pub struct Kernel<L> {
    handle: KernelHandle,
    ending: watch::Receiver<Option<Ending>>,
    iopub: IoPub,
    language: LanguageThread<L>,
    language_thread: thread::JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
    _files: SocketFiles,
}

/// Tells a running kernel what its process is told by signals. Cheap to clone.
#[derive(Clone)]
pub struct KernelHandle {
    interrupts: Interrupts,
    ending: watch::Sender<Option<Ending>>,
}

impl KernelHandle {
    /// Asks the running cell to stop.
    pub fn interrupt(&self) {
        self.interrupts.request();
    }

    /// Ends the kernel.
    pub fn shut_down(&self) {
        self.ending.send_replace(Some(Ending { restart: false }));
    }
}

impl<L: Language> Kernel<L> {
    /// Opens the sockets and begins to start the language. Requests that need no language are
    /// answered at once.
    ///
    /// # Errors
    /// When a socket cannot be bound.
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
        let (ending, ending_receiver) = watch::channel(None);
        let control = Control {
            interrupts: interrupts.clone(),
            iopub: iopub.clone(),
            ending: ending.clone(),
            language: PhantomData,
        };
        let shell = Shell {
            executor: Executor {
                language: language.clone(),
                iopub: iopub.clone(),
                stdin: Arc::new(Mutex::new(stdin)),
                interrupts: interrupts.clone(),
                arrivals: shell_requests.count.clone(),
                history: Default::default(),
                execution_count: 0,
                aborted_until: 0,
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
        Ok(Self {
            handle: KernelHandle { interrupts, ending },
            ending: ending_receiver,
            iopub,
            language,
            language_thread,
            tasks,
            _files: sockets.files,
        })
    }

    /// For signals.
    pub fn handle(&self) -> KernelHandle {
        self.handle.clone()
    }

    /// Waits for the end, stops what runs and puts everything away.
    pub async fn finished(mut self) -> Ending {
        let ending = self
            .ending
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|ending| *ending);
        let lingered = tokio::time::sleep(LINGER);
        self.iopub.flush().await;
        lingered.await;
        for task in &self.tasks {
            task.abort();
        }
        self.language.stop();
        let deadline = Instant::now() + GRACE;
        while !self.language_thread.is_finished() && Instant::now() < deadline {
            // Again and again: a language may replace what was killed.
            self.handle.interrupts.kill();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.handle.interrupts.kill();
        if !self.language_thread.is_finished() {
            warning("the language did not end in time");
        }
        // Only a handle that was dropped gives none.
        ending.unwrap_or(Ending { restart: false })
    }
}
