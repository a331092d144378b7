//! Models, adapters and what training leaves.

use offmodel_events::MimeBundle;
use offmodel_models::{Adapter, FineTuned, Generation, Model, Response};

use super::RichDisplay;

impl RichDisplay for Model {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}

impl RichDisplay for Adapter {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}

impl RichDisplay for FineTuned {
    fn rich_display(&self) -> Option<MimeBundle> {
        let course = match (self.steps.first(), self.steps.last()) {
            (Some(first), Some(last)) => format!(
                "{} steps, loss {:.4} -> {:.4}",
                self.steps.len(),
                first.loss,
                last.loss
            ),
            _ => "no step taken".to_owned(),
        };
        Some(MimeBundle::text(format!("{}\n{course}", self.adapter)))
    }
}

impl RichDisplay for Response {
    /// The response's text alone: as text, so that no markup in it is ever rendered.
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(format!(
            "{}\n[{} tokens, {:?}]",
            self.text,
            self.tokens.len(),
            self.finish
        )))
    }
}

impl RichDisplay for Generation {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}
