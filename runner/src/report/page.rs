//! The HTML page of a report.

use offmodel_analysis::{FrameDisplay, escape_html, frame_html};
use polars::prelude::DataFrame;

use super::{Block, ComparisonSection, ReportedNotebook, markdown, svg_address};

const STYLE: &str = "\
:root{color-scheme:light dark}
body{max-width:62rem;margin:2.5rem auto;padding:0 1.25rem;font:1rem/1.6 system-ui,sans-serif;color:#222;background:#fff}
h1{font-size:1.7rem;line-height:1.25;margin:0 0 1.5rem}
h2{font-size:1.3rem;margin:3rem 0 .75rem;padding-bottom:.25rem;border-bottom:1px solid #ccc}
h3,h4,h5,h6{font-size:1.1rem;margin:1.75rem 0 .5rem}
p,li{max-width:44rem}
img{max-width:100%;margin:1rem 0;background:#fff;border-radius:4px}
pre{overflow-x:auto;padding:.75rem 1rem;background:#f4f4f4;border-radius:4px;font-size:.85rem;line-height:1.45}
table{border-collapse:collapse;border:0;font-size:.875rem;font-variant-numeric:tabular-nums;margin:.5rem 0}
th,td{padding:.25rem .7rem;border:0;border-bottom:1px solid #ddd;white-space:nowrap;text-align:left}
thead th{border-bottom:2px solid #999}
td.text{white-space:normal;overflow-wrap:anywhere;vertical-align:top}
summary{cursor:pointer;font-weight:600;margin:1rem 0}
@media (prefers-color-scheme:dark){body{color:#ddd;background:#161616}h2{border-color:#444}pre{background:#222}th,td{border-color:#333}thead th{border-color:#777}}
@media print{body{margin:0;max-width:none}img,tr{break-inside:avoid}}
";

/// Rows of the result table that a reader would still look at.
const MAX_RESULT_ROWS: usize = 200;

/// Rows of a table of changes.
const MAX_CHANGE_ROWS: usize = 60;

/// Failures in the page; more are usually the same failure many times.
const MAX_FAILURES: usize = 100;

/// Characters of a failure's cause, which may contain a model's whole response.
const MAX_CAUSE_CHARACTERS: usize = 400;

/// The content security policy: no script and no connection, only the page's own styles and images.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// What a report says about the status of the trials.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusSection {
    /// How many trials have which status, as a sentence.
    pub summary: String,
    /// Trial, parameters, attempt and reason of each failure.
    pub failures: Vec<[String; 4]>,
}

/// A page, to which sections are added from top to bottom.
#[derive(Debug)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// An empty page.
    pub fn new(title: &str) -> Self {
        Self {
            title: escape_html(title),
            body: String::new(),
        }
    }

    /// Adds the result table.
    pub fn results(&mut self, results: &DataFrame) {
        let display = FrameDisplay {
            max_rows: MAX_RESULT_ROWS,
            ..FrameDisplay::default()
        };
        self.body.push_str("<h2>Results</h2>\n");
        self.body.push_str(&frame_html(results, &display));
        self.body.push('\n');
    }

    /// Adds how many trials have which status, and the failures with their reasons.
    pub fn status(&mut self, section: &StatusSection) {
        self.paragraph(&section.summary);
        if section.failures.is_empty() {
            return;
        }
        self.body.push_str(
            "<h2>Failures</h2>\n<table>\n<thead><tr><th>trial</th><th>parameters</th><th>attempt</th><th>cause</th></tr></thead>\n<tbody>\n",
        );
        for failure in section.failures.iter().take(MAX_FAILURES) {
            let cells: String = failure
                .iter()
                .map(|text| format!("<td class=\"text\">{}</td>", escape_html(&shortened(text))))
                .collect();
            self.body.push_str(&format!("<tr>{cells}</tr>\n"));
        }
        self.body.push_str("</tbody>\n</table>\n");
        if let Some(more @ 1..) = section.failures.len().checked_sub(MAX_FAILURES) {
            self.paragraph(&format!(
                "{more} more failures; trials.parquet in the sweep's folder has all."
            ));
        }
    }

    /// Adds the changes since an earlier sweep.
    pub fn comparison(&mut self, section: &ComparisonSection) {
        self.body.push_str(&format!(
            "<h2>{}</h2>\n<ul>\n",
            escape_html(&section.heading)
        ));
        for line in &section.summary {
            self.body
                .push_str(&format!("<li>{}</li>\n", escape_html(line)));
        }
        self.body.push_str("</ul>\n");
        for figure in &section.figures {
            let picture = svg_address(figure.svg());
            self.body.push_str(&format!(
                "<img alt=\"{}\" src=\"{}\">\n",
                escape_html(figure.title()),
                escape_html(&picture)
            ));
        }
        let display = FrameDisplay {
            max_rows: MAX_CHANGE_ROWS,
            ..FrameDisplay::default()
        };
        for (caption, table) in &section.tables {
            self.body
                .push_str(&format!("<h3>{}</h3>\n", escape_html(caption)));
            self.body.push_str(&frame_html(table, &display));
            self.body.push('\n');
        }
    }

    /// Adds the prose, figures and tables of a notebook.
    pub fn notebook(&mut self, notebook: &ReportedNotebook) {
        self.body
            .push_str(&format!("<h2>{}</h2>\n", escape_html(&notebook.heading)));
        self.blocks(&notebook.blocks);
    }

    /// Adds a paragraph of plain text.
    pub fn paragraph(&mut self, text: &str) {
        self.body
            .push_str(&format!("<p>{}</p>\n", escape_html(text)));
    }

    /// The HTML of the page.
    pub fn finish(&self) -> String {
        let Self { title, body } = self;
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"{CONTENT_SECURITY_POLICY}\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <h1>{title}</h1>\n{body}</body>\n</html>\n"
        )
    }

    fn blocks(&mut self, blocks: &[Block]) {
        for block in blocks {
            let html = match block {
                Block::Markdown(text) => markdown::html(text),
                Block::Picture(address) => {
                    format!("<img alt=\"figure\" src=\"{}\">\n", escape_html(address))
                }
                Block::Table(html) => format!("{html}\n"),
                Block::Text(text) => format!("<pre>{}</pre>\n", escape_html(text)),
            };
            self.body.push_str(&html);
        }
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_CAUSE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
