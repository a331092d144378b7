//! `offmodel compare`.

use offmodel_analysis::{FrameDisplay, frame_text};
use polars::prelude::{DataFrame, PolarsError};
use serde::{Serialize, Serializer};

use super::CompareArguments;
use super::output::{Format, Output, print};
use crate::compare::{CollectedSweep, Comparison, changes_table, compare, groups_table};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::terminal::outln;

/// Rows of a table in the terminal; `--json` has all.
const MAX_PRINTED_ROWS: usize = 40;

struct ComparedSweeps {
    comparison: Comparison,
    groups: DataFrame,
    changes: DataFrame,
}

/// Compares two sweeps.
pub(super) fn compare_sweeps(arguments: &CompareArguments) -> Result<ExitCode, RunnerError> {
    let a = CollectedSweep::read(&arguments.a)?;
    let b = CollectedSweep::read(&arguments.b)?;
    let comparison = compare(&a, &b, arguments.item.as_deref());
    let failed = |error: PolarsError| RunnerError::Read {
        path: arguments.b.clone(),
        reason: error.to_string(),
    };
    let compared = ComparedSweeps {
        groups: groups_table(&comparison.groups).map_err(failed)?,
        changes: changes_table(&comparison.changes).map_err(failed)?,
        comparison,
    };
    print(&compared, Format::from_flag(arguments.json))?;
    Ok(ExitCode::Success)
}

/// Programs read the comparison; the tables are made from it for people.
impl Serialize for ComparedSweeps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.comparison.serialize(serializer)
    }
}

impl Output for ComparedSweeps {
    fn print_text(&self) {
        for line in self.comparison.summary() {
            outln!("{line}");
        }
        let display = FrameDisplay {
            max_rows: MAX_PRINTED_ROWS,
            ..FrameDisplay::default()
        };
        if self.groups.height() > 0 {
            let table = frame_text(&self.groups, &display);
            outln!("\nmean changes, B - A:\n{table}");
        }
        if self.changes.height() > 0 {
            let table = frame_text(&self.changes, &display);
            outln!("\nvalues that differ, the largest changes first:\n{table}");
        }
    }
}
