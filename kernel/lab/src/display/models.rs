//! Displays of models, adapters, training results and responses.

use offmodel_events::MimeBundle;
use offmodel_models::{Adapter, FineTuned, Generation, Model, Response, Targets};

use super::RichDisplay;
use super::page::Page;
use crate::frame_of;

impl RichDisplay for Model {
    fn rich_display(&self) -> Option<MimeBundle> {
        let configuration = self.configuration();
        let mut facts = vec![
            ("architecture", configuration.model_type.clone()),
            (
                "parameters",
                format!("{:.1} million", self.parameter_count() as f64 / 1e6),
            ),
            (
                "memory",
                format!(
                    "{:.0} MB on {:?}",
                    self.memory_bytes() as f64 / 1e6,
                    self.device()
                ),
            ),
            (
                "shape",
                format!(
                    "{} layers, {} wide, {} query and {} key heads of {}",
                    configuration.num_hidden_layers,
                    configuration.hidden_size,
                    configuration.num_attention_heads,
                    configuration.num_key_value_heads,
                    configuration.head_dim
                ),
            ),
            ("vocabulary", format!("{} tokens", configuration.vocab_size)),
            (
                "context",
                format!("{} tokens", configuration.max_position_embeddings),
            ),
        ];
        facts.extend(
            self.adapter()
                .map(|adapter| ("adapter", adapter.to_string())),
        );
        let page = Page::new(self.name()).facts(facts);
        Some(MimeBundle::text(self.to_string()).with("text/html", page.into_html()))
    }
}

impl RichDisplay for Adapter {
    fn rich_display(&self) -> Option<MimeBundle> {
        let config = self.config();
        let page = Page::new("LoRA adapter").facts([
            ("rank", config.rank.to_string()),
            ("alpha", config.alpha.to_string()),
            ("dropout", config.dropout.to_string()),
            ("targets", target_names(&config.targets)),
            ("modules", self.modules().count().to_string()),
            ("parameters", self.parameter_count().to_string()),
        ]);
        Some(MimeBundle::text(self.to_string()).with("text/html", page.into_html()))
    }
}

/// The modules that an adapter changes.
fn target_names(targets: &Targets) -> String {
    match targets {
        Targets::Names(names) => names.join(", "),
        Targets::Pattern(pattern) => pattern.clone(),
        Targets::AllLinear => "every linear map but the output layer".to_owned(),
    }
}

impl RichDisplay for FineTuned {
    fn rich_display(&self) -> Option<MimeBundle> {
        let training = match (self.steps.first(), self.steps.last()) {
            (Some(first), Some(last)) => format!(
                "{} steps, loss {:.4} -> {:.4}",
                self.steps.len(),
                first.loss,
                last.loss
            ),
            _ => "no step taken".to_owned(),
        };
        let bundle = MimeBundle::text(format!("{}\n{training}", self.adapter));
        Some(match frame_of(&self.steps) {
            Ok(steps) => {
                let page = Page::new(&self.adapter.to_string())
                    .facts([("training", training)])
                    .folded("steps", &steps);
                bundle.with("text/html", page.into_html())
            }
            Err(_) => bundle,
        })
    }
}

impl RichDisplay for Response {
    /// The response as plain text only, so that markup in it is never rendered.
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(format!(
            "{}\n[{} tokens, {:?}]",
            self.text,
            self.tokens.len(),
            self.finish_reason
        )))
    }
}

impl RichDisplay for Generation {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
    }
}
