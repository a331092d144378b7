//! Displays of evaluations, response sets and teachers.
//!
//! Text written by a model is shown as plain text or escaped: markup in it is never rendered.

use offmodel_evals::{
    ApiModel, Endpoint, Evaluation, GeneratedResponses, Reply, ResponseSet, Score, Teacher,
    UsageSummary,
};
use offmodel_events::MimeBundle;
use serde::Serialize;

use super::RichDisplay;
use super::page::Page;
use crate::frame_of;

/// A row of an evaluation's table; shares are between 0 and 1.
#[derive(Serialize)]
struct ScoreRow {
    of: String,
    share: f64,
    low: f64,
    high: f64,
    samples: usize,
}

impl ScoreRow {
    fn new(of: impl Into<String>, score: &Score) -> Self {
        let (low, high) = score.interval();
        Self {
            of: of.into(),
            share: score.share(),
            low,
            high,
            samples: score.samples,
        }
    }
}

impl RichDisplay for Evaluation {
    /// Scores by level with Wilson's 95% intervals, and the samples folded below them.
    fn rich_display(&self) -> Option<MimeBundle> {
        let mut rows: Vec<ScoreRow> = self
            .score_by_level()
            .iter()
            .map(|level| ScoreRow::new(format!("level {}", level.level), &level.score))
            .collect();
        rows.push(ScoreRow::new("all", &self.score()));
        rows.push(ScoreRow::new("ended", &self.finished()));
        let bundle = MimeBundle::text(self.to_string());
        Some(match (frame_of(&rows), frame_of(&self.samples)) {
            (Ok(scores), Ok(samples)) => {
                let page = Page::new(&self.benchmark)
                    .table(&scores)
                    .folded("samples", &samples);
                bundle.with("text/html", page.into_html())
            }
            // An evaluation without samples.
            _ => bundle,
        })
    }
}

impl RichDisplay for ResponseSet {
    /// A summary, and a table of the first and last responses.
    fn rich_display(&self) -> Option<MimeBundle> {
        let text = self.to_string();
        let bundle = MimeBundle::text(text.clone());
        Some(match frame_of(&self.records) {
            Ok(records) => bundle.with("text/html", Page::new(&text).table(&records).into_html()),
            Err(_) => bundle,
        })
    }
}

impl RichDisplay for GeneratedResponses {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}

impl RichDisplay for ApiModel {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}

impl RichDisplay for Endpoint {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}

impl RichDisplay for Teacher {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}

impl RichDisplay for Reply {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}

impl RichDisplay for UsageSummary {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}
