//! `offmodel-kernel`: Rust in Jupyter.
//!
//! Joins the Jupyter protocol to the live session. Jupyter starts it with the path of a
//! connection file; the session starts it again as the process that runs the cells, and as a
//! wrapper of rustc.

mod rust;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use offmodel_jupyter::{Kernel, KernelHandle, read_connection_file};
use tokio::signal::unix::{SignalKind, signal};

use crate::rust::Rust;

/// Rust in Jupyter, with the offmodel library at hand.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The connection file, as Jupyter writes it.
    #[arg(short = 'f', long, value_name = "FILE")]
    connection_file: PathBuf,
}

fn main() -> anyhow::Result<()> {
    // Returns only if this process is neither the one that runs the cells nor rustc's wrapper.
    offmodel_session::child_process_hook();
    let arguments = Arguments::parse();
    offmodel_session::enter_session_environment();
    let connection = read_connection_file(&arguments.connection_file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the asynchronous runtime")?;
    runtime.block_on(async {
        let kernel = Kernel::<Rust>::start(&connection).await?;
        listen_to_signals(kernel.handle()).context("failed to listen to signals")?;
        watch_parent(kernel.handle());
        kernel.finished().await;
        Ok(())
    })
}

/// `SIGINT` stops the cell (front ends that do not send `interrupt_request` use it), `SIGTERM`
/// ends the kernel.
fn listen_to_signals(kernel: KernelHandle) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        loop {
            tokio::select! {
                Some(()) = interrupt.recv() => kernel.interrupt(),
                Some(()) = terminate.recv() => kernel.shut_down(),
                else => return,
            }
        }
    });
    Ok(())
}

/// Ends the kernel when the front end that started it has died without saying so: it would keep
/// a GPU for nobody.
fn watch_parent(kernel: KernelHandle) {
    // Set by `jupyter_client` for kernels that are to end with it.
    let expected = std::env::var("JPY_PARENT_PID")
        .ok()
        .and_then(|pid| pid.parse::<u32>().ok());
    if expected != Some(std::os::unix::process::parent_id()) {
        return;
    }
    tokio::spawn(async move {
        while expected == Some(std::os::unix::process::parent_id()) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        kernel.shut_down();
    });
}
