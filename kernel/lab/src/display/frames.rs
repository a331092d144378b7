//! Frames as tables.

use offmodel_events::MimeBundle;
use polars::prelude::{Column, DataFrame, IntoColumn, Series};

use super::RichDisplay;

impl RichDisplay for DataFrame {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.to_string()))
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
