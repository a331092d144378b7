use offmodel_events::{Event, MimeBundle, emit};

/// A type with a display of its own, richer than `Debug`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no display of its own",
    note = "`display!(value)` shows any value, as the last expression of a cell is shown"
)]
pub trait RichDisplay {
    /// The value in several formats, `text/plain` always among them; none to show nothing.
    fn rich_display(&self) -> Option<MimeBundle>;
}

impl<T: RichDisplay + ?Sized> RichDisplay for &T {
    fn rich_display(&self) -> Option<MimeBundle> {
        (**self).rich_display()
    }
}

impl RichDisplay for () {
    fn rich_display(&self) -> Option<MimeBundle> {
        None
    }
}

impl RichDisplay for MimeBundle {
    fn rich_display(&self) -> Option<MimeBundle> {
        Some(self.clone())
    }
}

/// Shows a value in the middle of a cell.
pub fn display<T: RichDisplay + ?Sized>(value: &T) {
    emit_display(value.rich_display());
}

/// Emits the formats of a value in the middle of a cell, if there is anything to show.
#[doc(hidden)]
pub fn emit_display(formats: Option<MimeBundle>) {
    if let Some(data) = formats {
        emit(&Event::Display {
            data,
            display_id: None,
        });
    }
}

/// Clears the cell's outputs so far; with `wait`, not before its next output, which avoids flicker.
pub fn clear_output(wait: bool) {
    emit(&Event::ClearOutput { wait });
}

/// Emits the formats of a cell's last expression, if there is anything to show.
#[doc(hidden)]
pub fn emit_result(formats: Option<MimeBundle>) {
    if let Some(data) = formats {
        emit(&Event::Result { data });
    }
}
