//! `cargo demo`: the main job, end to end.

use crate::SetupError;
use crate::workspace::Workspace;

/// Builds the workspace, runs the sweep of `first_light` and the published figures, and writes the
/// report of both.
///
/// # Errors
/// The first command that failed.
pub fn run(workspace: &Workspace) -> Result<(), SetupError> {
    workspace.build()?;
    let steps: [&[&str]; 3] = [
        &["sweep", "notebooks/first_light.toml"],
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
