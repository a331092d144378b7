//! Evaluations, response sets and the teachers that write them.
//!
//! All as text: no markup in what a model wrote is ever rendered.

use offmodel_evals::{
    ApiModel, Endpoint, Evaluation, GeneratedResponses, Reply, ResponseSet, Teacher, UsageSummary,
};
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
