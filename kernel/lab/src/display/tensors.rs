//! Displays of tensors.

use offmodel_events::MimeBundle;
use tch::Tensor;

use super::RichDisplay;

/// Tensors with more elements show shape, kind and device only.
const MAX_SHOWN_ELEMENTS: usize = 1_000;

impl RichDisplay for Tensor {
    fn rich_display(&self) -> Option<MimeBundle> {
        if !self.defined() {
            return Some(MimeBundle::text("undefined tensor"));
        }
        let heading = format!(
            "Tensor {:?} {:?} on {:?}",
            self.size(),
            self.kind(),
            self.device()
        );
        Some(MimeBundle::text(if self.numel() <= MAX_SHOWN_ELEMENTS {
            format!("{heading}\n{self}")
        } else {
            heading
        }))
    }
}
