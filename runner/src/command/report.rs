use std::path::Path;

use offmodel_analysis::{FrameDisplay, frame_text};

use super::{ReportArguments, status};
use crate::assignment::described;
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::report::{Page, ReportedNotebook};
use crate::store::{Standing, SweepFolder, compact, read_results, write_atomically};
use crate::terminal::tell;

/// A page with the figures of more trials than this is no longer read.
const SHOWN_TRIALS: usize = 24;

/// Rows of the result table in the terminal: a screen of a small sweep, not a night's.
const PRINTED_ROWS: usize = 40;

/// Writes a sweep's results and executed notebooks into one page; prints the result table and
/// the page's path.
pub(super) fn report(arguments: &ReportArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::view(&arguments.folder)?;
    let trials = status::submitted_trials(&folder)?;
    compact(&folder, &trials)?;
    let results = read_results(folder.path())?;
    let title = folder
        .path()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut page = Page::new(&title);
    page.results(&results);
    for path in &arguments.also {
        page.notebook(&ReportedNotebook::read(path, &name_of(path))?);
    }
    let succeeded: Vec<_> = trials
        .iter()
        .filter_map(|trial| match folder.state(&trial.id).standing {
            Standing::Succeeded(result) => Some((trial, result.attempt)),
            _ => None,
        })
        .collect();
    for (position, (trial, attempt)) in succeeded.iter().take(SHOWN_TRIALS).enumerate() {
        let path = folder.attempt(&trial.id, *attempt).join("out.ipynb");
        let heading = format!("Trial {}: {}", trial.id, described(&trial.given));
        let notebook = ReportedNotebook::read(&path, &heading)?;
        // All trials share the notebook's prose: once is enough.
        page.notebook(&if position == 0 {
            notebook
        } else {
            notebook.without_prose()
        });
    }
    if let Some(left_out @ 1..) = succeeded.len().checked_sub(SHOWN_TRIALS) {
        page.remark(&format!("{left_out} more trials are left out of this page; their notebooks are in the sweep's folder."));
    }
    write_atomically(&arguments.output, page.finish().as_bytes())?;
    let display = FrameDisplay {
        max_rows: PRINTED_ROWS,
        ..FrameDisplay::default()
    };
    tell!("{}", frame_text(&results, &display));
    let path = arguments
        .output
        .canonicalize()
        .unwrap_or_else(|_| arguments.output.clone());
    tell!("{}", path.display());
    Ok(ExitCode::Success)
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
