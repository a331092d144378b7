//! Writes a frame as an HTML table that is legible on light and dark pages.

use std::fmt::Write;

use polars::prelude::DataFrame;

use super::cells::{FrameDisplay, Shown, ShownColumn, Value};

/// Style of secondary text: faded, in the colour of the page.
const FADED: &str = "opacity:.6;font-weight:normal";

/// The frame as an HTML table: names, types, the first and last rows, and the shape.
///
/// All text from the frame is escaped. No colours are set, so that the table takes those of the page
/// (JupyterLab's light and dark themes, a report).
#[must_use]
pub fn frame_html(frame: &DataFrame, display: &FrameDisplay) -> String {
    let shown = Shown::of(frame, display);
    let mut html = String::from(
        "<div style=\"overflow-x:auto\">\n<table class=\"dataframe\" border=\"1\">\n<thead>\n<tr>",
    );
    for column in &shown.columns {
        match column {
            Some(column) => push(
                &mut html,
                format_args!(
                    "<th style=\"text-align:{}\">{}<br><span style=\"{FADED}\">{}</span></th>",
                    alignment(column),
                    escape_html(&column.name),
                    escape_html(&column.dtype)
                ),
            ),
            None => html.push_str("<th>…</th>"),
        }
    }
    html.push_str("</tr>\n</thead>\n<tbody>\n");
    for (line, row) in shown.rows.iter().enumerate() {
        html.push_str("<tr>");
        for column in &shown.columns {
            match (column, row) {
                (Some(column), Some(_)) => push_value(&mut html, column, line),
                (Some(column), None) => push(
                    &mut html,
                    format_args!("<td style=\"text-align:{}\">…</td>", alignment(column)),
                ),
                (None, _) => html.push_str("<td>…</td>"),
            }
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n");
    push(
        &mut html,
        format_args!(
            "<small style=\"{FADED}\">{} rows × {} columns</small>\n</div>",
            shown.height, shown.width
        ),
    );
    html
}

/// Escapes `text` for an HTML element or a quoted attribute.
pub fn escape_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\0' => escaped.push('\u{FFFD}'),
            character => escaped.push(character),
        }
    }
    escaped
}

fn push_value(html: &mut String, column: &ShownColumn, line: usize) {
    let alignment = alignment(column);
    match column.values.get(line) {
        Some(Some(Value::Text(text))) => push(
            html,
            format_args!(
                "<td style=\"text-align:{alignment}\">{}</td>",
                escape_html(text)
            ),
        ),
        _ => push(
            html,
            format_args!(
                "<td style=\"text-align:{alignment}\"><span style=\"{FADED}\">null</span></td>"
            ),
        ),
    }
}

fn alignment(column: &ShownColumn) -> &'static str {
    if column.is_right_aligned() {
        "right"
    } else {
        "left"
    }
}

fn push(html: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = html.write_fmt(arguments);
}
