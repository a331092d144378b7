//! `offmodel report`.

use std::path::{Path, PathBuf};

use offmodel_analysis::{FrameDisplay, frame_text};
use polars::prelude::DataFrame;
use serde::Serialize;

use super::ReportArguments;
use super::output::{Format, Output, VERSION, print};
use crate::assignment::describe;
use crate::compare::CollectedSweep;
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::report::{ComparisonSection, Page, ReportedNotebook, StatusSection};
use crate::store::{
    AttemptResult, StatusCounts, SweepFolder, TrialStatus, compact, read_results, write_atomically,
};
use crate::sweep::{Trial, submitted_trials};
use crate::terminal::outln;

/// Executed notebooks in the page; nobody reads a page with more.
const MAX_NOTEBOOKS: usize = 24;

/// Rows of the result table in the terminal: a screen of a small sweep.
const MAX_PRINTED_ROWS: usize = 40;

#[derive(Debug, Serialize)]
struct ReportResult {
    version: u32,
    command: &'static str,
    sweep: String,
    /// The page, which is also the first of the files.
    page: PathBuf,
    files: Vec<PathBuf>,
    total: usize,
    succeeded: usize,
    failed: usize,
    cancelled: usize,
    left: usize,
    /// The time of all trials that succeeded.
    seconds: f64,
    /// Rows of the result table.
    rows: usize,
    /// Executed notebooks in the page.
    notebooks: usize,
    /// Trials that succeeded, but whose notebooks are not in the page.
    left_out: usize,
    /// The sweep that this one was compared with.
    compared: Option<PathBuf>,
    #[serde(skip)]
    results: DataFrame,
}

/// Writes a sweep's results and executed notebooks into one HTML page.
pub(super) fn report(arguments: &ReportArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::open_read_only(&arguments.folder)?;
    let trials = submitted_trials(&folder)?;
    let mut files = compact(&folder, &trials)?;
    let statuses = TrialResults::collect(&folder, &trials);
    let results = if statuses.successes.is_empty() {
        DataFrame::empty()
    } else {
        read_results(folder.path())?
    };

    let mut page = Page::new(&folder.name());
    page.status(&statuses.section());
    if let Some(earlier) = &arguments.compare {
        let a = CollectedSweep::read(earlier)?;
        let b = CollectedSweep::read(folder.path())?;
        page.comparison(&ComparisonSection::new(&a, &b, folder.path())?);
    }
    page.results(&results);
    for path in &arguments.also {
        page.notebook(&ReportedNotebook::read(path, &file_name(path))?);
    }
    let left_out = add_notebooks(&mut page, &folder, &statuses.successes)?;
    write_atomically(&arguments.output, page.finish().as_bytes())?;

    let path = arguments
        .output
        .canonicalize()
        .unwrap_or_else(|_| arguments.output.clone());
    files.insert(0, path.clone());
    let counts = &statuses.counts;
    let report = ReportResult {
        version: VERSION,
        command: "report",
        sweep: folder.name(),
        page: path,
        files,
        total: counts.total,
        succeeded: counts.succeeded,
        failed: counts.failed,
        cancelled: counts.cancelled,
        left: counts.left(),
        seconds: statuses.seconds(),
        rows: results.height(),
        notebooks: statuses.successes.len() - left_out + arguments.also.len(),
        left_out,
        compared: arguments.compare.clone(),
        results,
    };
    print(&report, Format::from_flag(arguments.json))?;
    Ok(ExitCode::Success)
}

/// Adds the executed notebooks of the first trials. Returns how many are left out.
fn add_notebooks(
    page: &mut Page,
    folder: &SweepFolder,
    successes: &[(&Trial, AttemptResult)],
) -> Result<usize, RunnerError> {
    for (position, (trial, result)) in successes.iter().take(MAX_NOTEBOOKS).enumerate() {
        let path = folder.attempt(&trial.id, result.attempt).join("out.ipynb");
        let heading = format!("Trial {}: {}", trial.id, describe(&trial.overrides));
        let notebook = ReportedNotebook::read(&path, &heading)?;
        // All trials have the same prose, so only the first one shows it.
        page.notebook(&if position == 0 {
            notebook
        } else {
            notebook.without_prose()
        });
    }
    let left_out = successes.len().saturating_sub(MAX_NOTEBOOKS);
    if left_out > 0 {
        page.paragraph(&format!(
            "{left_out} more trials are left out of this page; their notebooks are in the sweep's folder."
        ));
    }
    Ok(left_out)
}

/// The results of a sweep's trials, by status.
struct TrialResults<'a> {
    counts: StatusCounts,
    successes: Vec<(&'a Trial, AttemptResult)>,
    failures: Vec<(&'a Trial, AttemptResult)>,
}

impl<'a> TrialResults<'a> {
    fn collect(folder: &SweepFolder, trials: &'a [Trial]) -> Self {
        let mut statuses = Vec::new();
        let (mut successes, mut failures) = (Vec::new(), Vec::new());
        for trial in trials {
            let summary = folder.summary(&trial.id);
            statuses.push(summary.status);
            match (summary.status, summary.result) {
                (TrialStatus::Succeeded, Some(result)) => successes.push((trial, result)),
                (TrialStatus::Failed, Some(result)) => failures.push((trial, result)),
                _ => {}
            }
        }
        Self {
            counts: statuses.into_iter().collect(),
            successes,
            failures,
        }
    }

    fn seconds(&self) -> f64 {
        self.successes
            .iter()
            .fold(0.0, |sum, (_, result)| sum + result.seconds)
    }

    fn section(&self) -> StatusSection {
        let StatusCounts {
            total,
            succeeded,
            failed,
            cancelled,
        } = self.counts;
        let cancelled = match cancelled {
            0 => String::new(),
            cancelled => format!(" {cancelled} cancelled;"),
        };
        let (seconds, left) = (self.seconds(), self.counts.left());
        let failures = self.failures.iter().map(|(trial, result)| {
            let cause = result.cause.as_ref();
            [
                trial.id.clone(),
                describe(&trial.overrides),
                result.attempt.to_string(),
                cause.map_or_else(String::new, ToString::to_string),
            ]
        });
        StatusSection {
            summary: format!(
                "{total} trials: {succeeded} succeeded, in {seconds:.1} s in all; {failed} failed;{cancelled} {left} left."
            ),
            failures: failures.collect(),
        }
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

impl Output for ReportResult {
    fn print_text(&self) {
        let display = FrameDisplay {
            max_rows: MAX_PRINTED_ROWS,
            ..FrameDisplay::default()
        };
        outln!("{}", frame_text(&self.results, &display));
        outln!("{}", self.page.display());
    }
}
