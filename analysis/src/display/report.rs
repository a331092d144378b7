//! A report in one HTML file that loads nothing from elsewhere.

use std::io;
use std::path::{Path, PathBuf};

use offmodel_support::atomic_file;
use polars::prelude::DataFrame;
use thiserror::Error;

use super::html::escape_html;
use super::{FrameDisplay, frame_html};
use crate::figures::Figure;

const STYLE: &str = "\
:root{color-scheme:light dark}
body{max-width:60rem;margin:2.5rem auto;padding:0 1.25rem;font:1rem/1.6 system-ui,sans-serif;color:#222;background:#fff}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 1.5rem}
h2{font-size:1.25rem;margin:2.5rem 0 .75rem;padding-bottom:.25rem;border-bottom:1px solid #ccc}
p{max-width:44rem;white-space:pre-line}
figure{margin:1.75rem 0}
figure svg{border-radius:4px}
figcaption{max-width:44rem;margin-top:.5rem;font-size:.9rem;color:#555}
pre{overflow-x:auto;padding:.75rem 1rem;background:#f4f4f4;border-radius:4px;font-size:.85rem;line-height:1.45}
table{border-collapse:collapse;border:0;font-size:.875rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;border:0;border-bottom:1px solid #ddd;white-space:nowrap}
thead th{border-bottom:2px solid #999}
@media (prefers-color-scheme:dark){body{color:#ddd;background:#161616}h2{border-color:#444}figcaption{color:#aaa}pre{background:#222}th,td{border-color:#333}thead th{border-color:#777}}
@media print{body{margin:0;max-width:none}figure,tr{break-inside:avoid}}
";

/// Why a report could not be saved.
#[derive(Debug, Error)]
#[error("failed to save a report: failed to write {}: {source}", path.display())]
pub struct ReportError {
    /// The file; its old content is unchanged.
    pub path: PathBuf,
    /// The error of the operating system.
    pub source: io::Error,
}

/// Builds a self-contained HTML page from text, figures and frames. All text is escaped.
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    body: String,
    display: FrameDisplay,
}

impl Report {
    /// Creates an empty report.
    #[must_use]
    pub fn new(title: &str) -> Self {
        Self {
            title: escape_html(title),
            body: String::new(),
            display: FrameDisplay {
                max_rows: 24,
                ..FrameDisplay::default()
            },
        }
    }

    /// Sets how much of each later frame is shown; the default is up to 24 rows.
    #[must_use]
    pub fn frame_display(mut self, display: FrameDisplay) -> Self {
        self.display = display;
        self
    }

    /// Adds a heading.
    #[must_use]
    pub fn section(self, heading: &str) -> Self {
        let heading = escape_html(heading);
        self.push(&format!("<h2>{heading}</h2>\n"))
    }

    /// Adds a paragraph; its line breaks are kept.
    #[must_use]
    pub fn paragraph(self, text: &str) -> Self {
        let text = escape_html(text);
        self.push(&format!("<p>{text}</p>\n"))
    }

    /// Adds text in a fixed-width font, such as the display of a fit.
    #[must_use]
    pub fn preformatted(self, text: &str) -> Self {
        let text = escape_html(text);
        self.push(&format!("<pre>{text}</pre>\n"))
    }

    /// Adds a figure with its caption.
    #[must_use]
    pub fn figure(self, figure: &Figure, caption: &str) -> Self {
        let caption = escape_html(caption);
        let svg = figure.svg();
        self.push(&format!(
            "<figure>\n{svg}<figcaption>{caption}</figcaption>\n</figure>\n"
        ))
    }

    /// Adds a frame as a table with its caption.
    #[must_use]
    pub fn frame(self, frame: &DataFrame, caption: &str) -> Self {
        let caption = escape_html(caption);
        let table = frame_html(frame, &self.display);
        self.push(&format!(
            "<figure>\n{table}\n<figcaption>{caption}</figcaption>\n</figure>\n"
        ))
    }

    /// The report as an HTML page.
    #[must_use]
    pub fn finish(&self) -> String {
        let Self { title, body, .. } = self;
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" \
             content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <h1>{title}</h1>\n{body}</body>\n</html>\n"
        )
    }

    /// Saves the page. The file appears whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        let path = path.as_ref();
        atomic_file::write(path, self.finish().as_bytes()).map_err(|source| ReportError {
            path: path.to_owned(),
            source,
        })
    }

    fn push(mut self, html: &str) -> Self {
        self.body.push_str(html);
        self
    }
}
