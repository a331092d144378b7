//! HTML of values that are more than one table.

use std::fmt::Write;

use offmodel_analysis::{FrameDisplay, escape_html, frame_html};
use polars::prelude::DataFrame;

/// A heading and what stands below it. All text is escaped; no colours are set, so that they are
/// those of the page.
pub(super) struct Page(String);

impl Page {
    pub fn new(heading: &str) -> Self {
        Self(format!(
            "<div><strong>{}</strong></div>\n",
            escape_html(heading)
        ))
    }

    /// Names and values, a line each.
    pub fn facts<'a>(mut self, facts: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        self.0.push_str("<table>\n");
        for (name, value) in facts {
            // Writing to a string does not fail.
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

    /// A frame.
    pub fn table(mut self, frame: &DataFrame) -> Self {
        self.0
            .push_str(&frame_html(frame, &FrameDisplay::default()));
        self
    }

    /// A frame that a click unfolds.
    pub fn folded(mut self, summary: &str, frame: &DataFrame) -> Self {
        let _ = writeln!(
            self.0,
            "<details><summary>{}</summary>\n{}</details>",
            escape_html(summary),
            frame_html(frame, &FrameDisplay::default())
        );
        self
    }

    pub fn into_html(self) -> String {
        self.0
    }
}
