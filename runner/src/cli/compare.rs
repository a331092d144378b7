use offmodel_analysis::{FrameDisplay, frame_text};
use polars::prelude::{DataFrame, PolarsResult};

use super::CompareArguments;
use crate::assignment::{Assignment, described};
use crate::compare::{
    CollectedSweep, Compared, changes_table, compare as compare_sweeps, groups_table,
};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::terminal::outln;

/// Rows of a table in the terminal; `--json` has all.
const PRINTED_ROWS: usize = 40;

/// Trials of a list in the terminal.
const LISTED: usize = 10;

/// Sets two sweeps side by side.
pub(super) fn compare(arguments: &CompareArguments) -> Result<ExitCode, RunnerError> {
    let a = CollectedSweep::read(&arguments.a)?;
    let b = CollectedSweep::read(&arguments.b)?;
    let compared = compare_sweeps(&a, &b, arguments.item.as_deref());
    if arguments.json {
        let text = serde_json::to_string_pretty(&compared).map_err(|error| RunnerError::Read {
            path: arguments.b.clone(),
            reason: error.to_string(),
        })?;
        outln!("{text}");
        return Ok(ExitCode::Success);
    }
    for line in summary(&compared) {
        outln!("{line}");
    }
    let failed = |error: polars::prelude::PolarsError| RunnerError::Read {
        path: arguments.b.clone(),
        reason: error.to_string(),
    };
    if !compared.groups.is_empty() {
        outln!(
            "\nmean changes, B - A:\n{}",
            printed(groups_table(&compared.groups)).map_err(failed)?
        );
    }
    if !compared.changes.is_empty() {
        outln!(
            "\nvalues that differ, the largest changes first:\n{}",
            printed(changes_table(&compared.changes)).map_err(failed)?
        );
    }
    Ok(ExitCode::Success)
}

fn printed(table: PolarsResult<DataFrame>) -> PolarsResult<String> {
    let display = FrameDisplay {
        max_rows: PRINTED_ROWS,
        ..FrameDisplay::default()
    };
    Ok(frame_text(&table?, &display))
}

/// What was compared and how, a sentence a line.
pub(super) fn summary(compared: &Compared) -> Vec<String> {
    let Compared { a, b, .. } = compared;
    let by = if compared.paired_by.is_empty() {
        "they have no parameter in common".to_owned()
    } else {
        format!("by {}", compared.paired_by.join(", "))
    };
    let mut lines = vec![format!(
        "{a} (A) and {b} (B): {} pairs of trials, {by}; {} of them have the same rows of results",
        compared.pairs, compared.compared
    )];
    lines.push(format!(
        "{} of {} values differ, in {} trials",
        compared.changed_values, compared.values, compared.changed_trials
    ));
    if let Some((of_a, of_b)) = compared.seconds {
        lines.push(format!(
            "mean time of a trial that succeeded in both: {of_a:.2} s in A, {of_b:.2} s in B"
        ));
    }
    if compared.groups.iter().any(|group| group.interval.is_some()) {
        lines.push(format!(
            "intervals: paired percentile bootstrap, 95%, 10,000 resamples of {}",
            compared.resampled
        ));
    } else if !compared.groups.is_empty() {
        lines.push("no intervals: each group has one pair".to_owned());
    }
    for change in compared.standings.iter().take(LISTED) {
        lines.push(format!(
            "{}: {} in A, {} in B",
            described(&change.parameters),
            change.a,
            change.b
        ));
    }
    let mut list = |what: &str, trials: &[Assignment]| {
        if trials.is_empty() {
            return;
        }
        let shown: Vec<String> = trials.iter().take(LISTED).map(described).collect();
        let more = trials.len().saturating_sub(LISTED);
        let more = if more > 0 {
            format!("; and {more} more")
        } else {
            String::new()
        };
        lines.push(format!(
            "{what} ({}): {}{more}",
            trials.len(),
            shown.join("; ")
        ));
    };
    list("only in A", &compared.only_a);
    list("only in B", &compared.only_b);
    list("with more than one possible partner", &compared.ambiguous);
    list(
        "with other rows in A than in B, left out",
        &compared.other_rows,
    );
    lines
}
