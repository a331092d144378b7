use std::path::{Path, PathBuf};

use offmodel_analysis::{BarAxes, Figure, FrameDisplay, frame_text, grouped_bars};
use polars::prelude::{DataFrame, IntoLazy, PolarsError, col, lit};

use serde::Serialize;

use super::compare::summary;
use super::json::{VERSION, print_json};
use super::{ReportArguments, status};
use crate::assignment::described;
use crate::compare::{CollectedSweep, Compared, changes_table, compare, groups_table};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::report::{Comparison, Page, ReportedNotebook, Standings};
use crate::store::{Standing, SweepFolder, compact, read_results, write_atomically};
use crate::sweep::Trial;
use crate::terminal::outln;

/// A page with the figures of more trials than this is no longer read.
const SHOWN_TRIALS: usize = 24;

/// Figures of changes: one for each of the first columns that changed.
const FIGURES: usize = 4;

/// Rows of the result table in the terminal: a screen of a small sweep, not a night's.
const PRINTED_ROWS: usize = 40;

/// Writes a sweep's results and executed notebooks into one page; prints the result table and
/// the page's path.
pub(super) fn report(arguments: &ReportArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::view(&arguments.folder)?;
    let trials = status::submitted_trials(&folder)?;
    let mut files = compact(&folder, &trials)?;
    let results = if trials
        .iter()
        .any(|trial| matches!(folder.state(&trial.id).standing, Standing::Succeeded(_)))
    {
        read_results(folder.path())?
    } else {
        DataFrame::empty()
    };
    let title = folder
        .path()
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let mut page = Page::new(&title);
    let counts = Counts::of(&folder, &trials);
    page.standings(&counts.standings(&trials));
    if let Some(earlier) = &arguments.compare {
        let (heading, comparison) = comparison(earlier, folder.path())?;
        page.comparison(&heading, &comparison);
    }
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
    let left_out = succeeded.len().saturating_sub(SHOWN_TRIALS);
    if left_out > 0 {
        page.remark(&format!("{left_out} more trials are left out of this page; their notebooks are in the sweep's folder."));
    }
    write_atomically(&arguments.output, page.finish().as_bytes())?;
    let path = arguments
        .output
        .canonicalize()
        .unwrap_or_else(|_| arguments.output.clone());
    if arguments.json {
        files.insert(0, path.clone());
        return print_json(&ReportDocument {
            version: VERSION,
            command: "report",
            sweep: folder.name(),
            page: path,
            files,
            total: trials.len(),
            succeeded: counts.succeeded,
            failed: counts.failures.len(),
            cancelled: counts.cancelled,
            left: counts.left(&trials),
            seconds: counts.seconds,
            rows: results.height(),
            notebooks: succeeded.len() - left_out + arguments.also.len(),
            left_out,
            compared: arguments.compare.clone(),
        });
    }
    let display = FrameDisplay {
        max_rows: PRINTED_ROWS,
        ..FrameDisplay::default()
    };
    outln!("{}", frame_text(&results, &display));
    outln!("{}", path.display());
    Ok(ExitCode::Success)
}

/// What `report --json` prints.
#[derive(Debug, Serialize)]
struct ReportDocument {
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
    /// Of all trials that succeeded, together.
    seconds: f64,
    /// Of the result table.
    rows: usize,
    /// AttemptOutput notebooks in the page.
    notebooks: usize,
    /// Trials that succeeded and whose notebooks are not in the page.
    left_out: usize,
    /// The sweep that it was compared with.
    compared: Option<PathBuf>,
}

/// How the trials of a sweep stand.
#[derive(Debug, Default)]
struct Counts {
    succeeded: usize,
    cancelled: usize,
    seconds: f64,
    failures: Vec<[String; 4]>,
}

impl Counts {
    fn of(folder: &SweepFolder, trials: &[Trial]) -> Self {
        let mut counts = Self::default();
        for trial in trials {
            match folder.state(&trial.id).standing {
                Standing::Succeeded(result) => {
                    counts.succeeded += 1;
                    counts.seconds += result.seconds;
                }
                Standing::Failed(result) => counts.failures.push([
                    trial.id.clone(),
                    described(&trial.given),
                    result.attempt.to_string(),
                    result
                        .cause
                        .map_or_else(String::new, |cause| cause.to_string()),
                ]),
                Standing::Cancelled(_) => counts.cancelled += 1,
                Standing::New | Standing::Unfinished => {}
            }
        }
        counts
    }

    fn left(&self, trials: &[Trial]) -> usize {
        trials.len() - self.succeeded - self.failures.len() - self.cancelled
    }

    /// As the page tells them.
    fn standings(&self, trials: &[Trial]) -> Standings {
        let cancelled = match self.cancelled {
            0 => String::new(),
            cancelled => format!(" {cancelled} cancelled;"),
        };
        Standings {
            summary: format!(
                "{} trials: {} succeeded, in {:.1} s in all; {} failed;{cancelled} {} left.",
                trials.len(),
                self.succeeded,
                self.seconds,
                self.failures.len(),
                self.left(trials)
            ),
            failures: self.failures.clone(),
        }
    }
}

fn comparison(earlier: &Path, path: &Path) -> Result<(String, Comparison), RunnerError> {
    let a = CollectedSweep::read(earlier)?;
    let b = CollectedSweep::read(path)?;
    let compared = compare(&a, &b, None);
    let failed = |error: PolarsError| RunnerError::Read {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let groups = groups_table(&compared.groups).map_err(failed)?;
    let changes = changes_table(&compared.changes).map_err(failed)?;
    let mut comparison = Comparison {
        summary: summary(&compared),
        figures: changed_values(&compared)
            .into_iter()
            .filter_map(|value| change_figure(&groups, &value))
            .take(FIGURES)
            .collect(),
        tables: Vec::new(),
    };
    for (caption, table) in [
        ("Mean changes, B - A", groups),
        ("Values that differ, the largest changes first", changes),
    ] {
        if table.height() > 0 {
            comparison.tables.push((caption.to_owned(), table));
        }
    }
    Ok((format!("Compared with {}", a.name), comparison))
}

/// The columns with any change, in the order of the groups.
fn changed_values(compared: &Compared) -> Vec<String> {
    let mut values: Vec<String> = compared
        .groups
        .iter()
        .filter(|group| group.change != 0.0)
        .map(|group| group.value.clone())
        .collect();
    values.dedup();
    values
}

/// The changes of one column; none where there are more groups than a figure can hold.
fn change_figure(groups: &DataFrame, value: &str) -> Option<Figure> {
    let rows = groups.clone().lazy().filter(col("value").eq(lit(value)));
    let axes = BarAxes::new("group", "change")
        .interval("low", "high")
        .x_label("")
        .y_label(&format!("change of {value}, B - A"))
        .title(&format!("Change of {value}"));
    grouped_bars(&rows.collect().ok()?, &axes).ok()
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
