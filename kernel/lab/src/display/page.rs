//! HTML for values that consist of a heading, facts and tables.

use std::fmt::Write;

use offmodel_analysis::{FrameDisplay, escape_html, frame_html};
use polars::prelude::DataFrame;

/// Builds the HTML of a value: a heading, then the parts in the order in which they are added. All
/// text is escaped. No colours are set, so that the front end's theme applies.
pub(super) struct Page(String);

impl Page {
    pub(super) fn new(heading: &str) -> Self {
        Self(format!(
            "<div><strong>{}</strong></div>\n",
            escape_html(heading)
        ))
    }

    /// Adds names and values, one pair a line.
    pub(super) fn facts<'a>(mut self, facts: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        self.0.push_str("<table>\n");
        for (name, value) in facts {
            // Writing to a string cannot fail.
            let _ = writeln!(
                self.0,
                "<tr><th style=\"text-align:left;font-weight:normal;opacity:.6\">{}</th><td style=\"text-align:left\">{}</td></tr>",
                escape_html(name),
                escape_html(&value)
            );
        }
        self.0.push_str("</table>\n");
        self
    }

    /// Adds a frame as a table.
    pub(super) fn table(mut self, frame: &DataFrame) -> Self {
        self.0
            .push_str(&frame_html(frame, &FrameDisplay::default()));
        self
    }

    /// Adds a frame as a table that is folded under `summary` until the reader opens it.
    pub(super) fn folded(mut self, summary: &str, frame: &DataFrame) -> Self {
        let _ = writeln!(
            self.0,
            "<details><summary>{}</summary>\n{}</details>",
            escape_html(summary),
            frame_html(frame, &FrameDisplay::default())
        );
        self
    }

    pub(super) fn into_html(self) -> String {
        self.0
    }
}
