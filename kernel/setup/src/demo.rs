//! `cargo demo`: a small study from training to report.

use crate::SetupError;
use crate::workspace::Workspace;

/// Builds the workspace, runs the sweep of `first_light`, its summary and the published figures, and
/// writes a report of them.
///
/// # Errors
/// The error of the first command that fails.
pub fn run(workspace: &Workspace) -> Result<(), SetupError> {
    workspace.build()?;
    let steps: [&[&str]; 4] = [
        &["sweep", "notebooks/first_light.toml"],
        &[
            "run",
            "notebooks/first_light_summary.ipynb",
            "-o",
            "runs/first_light_summary.ipynb",
        ],
        &[
            "run",
            "notebooks/published.ipynb",
            "-o",
            "runs/published.ipynb",
        ],
        &[
            "report",
            "runs/first_light",
            "--also",
            "runs/first_light_summary.ipynb",
            "--also",
            "runs/published.ipynb",
            "-o",
            "report.html",
        ],
    ];
    for arguments in steps {
        workspace.run(workspace.command("offmodel").args(arguments))?;
    }
    Ok(())
}
