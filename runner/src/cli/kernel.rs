//! `offmodel kernel`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use super::KernelCommand;
use crate::error::RunnerError;

/// Replaces this process by `offmodel-kernel`, which lies beside this program and has the same
/// commands. Only that program links `offmodel-session`, which runs cells. Returns only if the system
/// could not start it.
pub(super) fn become_kernel(command: KernelCommand) -> RunnerError {
    let argument = match command {
        KernelCommand::Install => "install",
        KernelCommand::Uninstall => "uninstall",
        KernelCommand::Doctor => "doctor",
    };
    let path = std::env::current_exe()
        .unwrap_or_default()
        .with_file_name("offmodel-kernel");
    let source = Command::new(&path).arg(argument).exec();
    RunnerError::Kernel { path, source }
}
