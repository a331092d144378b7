//! `offmodel-kernel`: Rust in Jupyter.
//!
//! Joins the Jupyter protocol to the live session. Jupyter starts it with the path of a
//! connection file; the session starts it again as the process that runs the cells, and as a
//! wrapper of rustc.

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

/// Rust in Jupyter, with the offmodel library at hand.
#[derive(Debug, Parser)]
#[command(
    version,
    subcommand_negates_reqs = true,
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    /// The connection file, as Jupyter writes it.
    #[arg(short = 'f', long, value_name = "FILE", required = true)]
    connection_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The same commands as those of `offmodel kernel`.
#[derive(Debug, Subcommand)]
enum Command {
    /// Make this kernel known to Jupyter.
    Install,
    /// Let Jupyter forget it.
    Uninstall,
    /// Look at everything that the kernel needs, and time a cell.
    Doctor,
}

fn main() -> anyhow::Result<ExitCode> {
    // Returns only if this process is neither the one that runs the cells nor rustc's wrapper.
    offmodel_session::child_process_hook();
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
        kernel.finished().await;
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
                println!("Jupyter did not know it");
            }
        }
        Command::Doctor if !doctor::examine() => return Ok(ExitCode::FAILURE),
        Command::Doctor => {}
    }
    Ok(ExitCode::SUCCESS)
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
