//! `offmodel-kernel`: Rust in Jupyter.
//!
//! Joins the Jupyter protocol to the live session. One program has three roles: Jupyter starts it
//! with the path of a connection file; the session starts it again as the child process that runs
//! the cells; and evcxr's Cargo starts it as the wrapper of rustc.

mod doctor;
mod rust;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use offmodel_jupyter::{Kernel, KernelHandle, read_connection_file};
use offmodel_setup::kernelspec;
use tokio::signal::unix::{SignalKind, signal};

use crate::rust::Rust;

/// How often the kernel looks whether its parent process is still the same.
const PARENT_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The Jupyter kernel for Rust with the offmodel library.
#[derive(Debug, Parser)]
#[command(
    version,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    /// The connection file that Jupyter wrote.
    #[arg(short = 'f', long, value_name = "FILE", required = true)]
    connection_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The commands behind `offmodel kernel`.
#[derive(Debug, Subcommand)]
enum Command {
    /// Install the kernelspec, so that Jupyter lists this kernel.
    Install,
    /// Remove the kernelspec.
    Uninstall,
    /// Check everything that the kernel needs, and time a cell.
    Doctor,
}

fn main() -> anyhow::Result<ExitCode> {
    // Returns only in the kernel itself, neither in the child process nor in rustc's wrapper.
    offmodel_session::child_process_hook();
    offmodel_support::log::initialize();
    let arguments = Arguments::parse();
    offmodel_session::enter_session_environment();
    if let Some(command) = arguments.command {
        return run(&command);
    }
    let file = arguments
        .connection_file
        .context("no connection file was given")?;
    let connection = read_connection_file(&file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .context("failed to start the asynchronous runtime")?;
    runtime.block_on(async {
        let kernel = Kernel::<Rust>::start(&connection).await?;
        listen_to_signals(kernel.handle()).context("failed to listen to signals")?;
        watch_parent(kernel.handle());
        kernel.run_until_shutdown().await;
        Ok(ExitCode::SUCCESS)
    })
}

fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Install => {
            let data = kernelspec::data_folder()?;
            let program = std::env::current_exe().context("failed to find this program")?;
            kernelspec::install(&data, &program)?;
            println!("{}", data.join("kernels").join(kernelspec::NAME).display());
        }
        Command::Uninstall => {
            if !kernelspec::uninstall(&kernelspec::data_folder()?)? {
                println!("nothing to remove: the kernel is not installed");
            }
        }
        Command::Doctor if !doctor::run() => return Ok(ExitCode::FAILURE),
        Command::Doctor => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Interrupts the cell at `SIGINT`, which front ends send if they send no `interrupt_request`, and
/// shuts the kernel down at `SIGTERM`.
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

/// Shuts the kernel down when the front end that started it has died without a `shutdown_request`,
/// so that no orphan holds a GPU.
fn watch_parent(kernel: KernelHandle) {
    // `jupyter_client` sets the variable for kernels that must not outlive it.
    let parent = std::env::var("JPY_PARENT_PID")
        .ok()
        .and_then(|pid| pid.parse::<u32>().ok());
    if parent != Some(std::os::unix::process::parent_id()) {
        return;
    }
    tokio::spawn(async move {
        // An orphan gets another parent.
        while parent == Some(std::os::unix::process::parent_id()) {
            tokio::time::sleep(PARENT_POLL_INTERVAL).await;
        }
        kernel.shut_down();
    });
}
