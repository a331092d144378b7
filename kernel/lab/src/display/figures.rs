//! Displays of figures and fits.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use offmodel_analysis::{ChangeAgainstGap, Figure, LineFit};
use offmodel_events::MimeBundle;

use super::RichDisplay;
use super::page::Page;

impl RichDisplay for Figure {
    /// SVG, and PNG for front ends that do not draw SVG (exports to PDF, some terminals).
    fn rich_display(&self) -> Option<MimeBundle> {
        let (width, height) = self.size();
        let text = format!("[figure: {}, {width:.0} x {height:.0}]", self.title());
        let bundle = MimeBundle::text(text).with("image/svg+xml", self.svg());
        Some(match self.png() {
            Ok(png) => bundle.with("image/png", STANDARD.encode(png)),
            Err(_) => bundle,
        })
    }
}

impl RichDisplay for LineFit {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(fit_bundle(
            &self.to_string(),
            "straight line by ordinary least squares",
            self,
        ))
    }
}

impl RichDisplay for ChangeAgainstGap {
    fn rich_display(&self) -> Option<MimeBundle> {
        let heading = "change = intercept + slope * gap; the intercept is the change at zero gap";
        Some(fit_bundle(&self.to_string(), heading, &self.fit))
    }
}

/// The text of a fit, and its numbers as a table.
fn fit_bundle(text: &str, heading: &str, fit: &LineFit) -> MimeBundle {
    let bundle = MimeBundle::text(text);
    match fit.to_frame() {
        Ok(frame) => bundle.with("text/html", Page::new(heading).table(&frame).into_html()),
        Err(_) => bundle,
    }
}
