//! Displays of frames, columns and series: tables.

use offmodel_analysis::{FrameDisplay, frame_html, frame_text};
use offmodel_events::MimeBundle;
use polars::prelude::{Column, DataFrame, IntoColumn, Series};

use super::RichDisplay;

impl RichDisplay for DataFrame {
    fn rich_display(&self) -> Option<MimeBundle> {
        let options = FrameDisplay::default();
        Some(
            MimeBundle::text(frame_text(self, &options))
                .with("text/html", frame_html(self, &options)),
        )
    }
}

impl RichDisplay for Column {
    fn rich_display(&self) -> Option<MimeBundle> {
        self.clone().into_frame().rich_display()
    }
}

impl RichDisplay for Series {
    fn rich_display(&self) -> Option<MimeBundle> {
        self.clone().into_column().rich_display()
    }
}
