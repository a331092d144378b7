//! Evaluations and response sets.

use offmodel_evals::{Evaluation, ResponseSet};
use offmodel_events::MimeBundle;

use super::RichDisplay;

impl RichDisplay for Evaluation {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}

impl RichDisplay for ResponseSet {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}
