//! Writes a frame as a plain text table, for terminals and for front ends without HTML.

use polars::prelude::DataFrame;

use super::cells::{FrameDisplay, Shown, Value};

/// The frame as aligned columns: the shape, names, types, and the first and last rows. Control
/// characters in values are escaped, so that the text is safe to print in a terminal.
#[must_use]
pub fn frame_text(frame: &DataFrame, display: &FrameDisplay) -> String {
    let shown = Shown::of(frame, display);
    let columns: Vec<(bool, Vec<String>)> = shown
        .columns
        .iter()
        .map(|column| match column {
            Some(column) => {
                let head = [column.name.clone(), column.dtype.clone()];
                let values = column.values.iter().map(|value| match value {
                    Some(Value::Text(text)) => text.clone(),
                    Some(Value::Null) => "null".to_owned(),
                    None => "…".to_owned(),
                });
                (
                    column.is_right_aligned(),
                    head.into_iter().chain(values).collect(),
                )
            }
            None => (false, vec!["…".to_owned(); shown.rows.len() + 2]),
        })
        .collect();

    let mut text = format!("{} rows × {} columns\n", shown.height, shown.width);
    if columns.is_empty() {
        return text;
    }
    let widths: Vec<usize> = columns
        .iter()
        .map(|(_, cells)| {
            cells
                .iter()
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for line in 0..shown.rows.len() + 2 {
        let mut row = String::new();
        for ((is_right_aligned, cells), width) in columns.iter().zip(&widths) {
            if !row.is_empty() {
                row.push_str("  ");
            }
            let cell = &cells[line];
            row += &if *is_right_aligned {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            };
        }
        text.push_str(row.trim_end());
        text.push('\n');
        if line == 1 {
            let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
            text.push_str(&rule.join("  "));
            text.push('\n');
        }
    }
    text
}
