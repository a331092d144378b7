use std::error::Error;
use std::panic::Location;

use offmodel_events::{CellError, interrupt};

use crate::failures::without_native_frames;

/// Why a cell ended early through `?`.
///
/// Any error that can be boxed becomes one, so that `?` works in every cell; the location of the
/// `?` is kept.
#[derive(Debug)]
pub struct Raised {
    /// Name and message, as they are shown.
    pub error: CellError,
    /// The line of the `?` in the generated source.
    pub source_line: u32,
}

impl<E: Into<Box<dyn Error>>> From<E> for Raised {
    #[track_caller]
    fn from(error: E) -> Self {
        let source_line = Location::caller().line();
        let name = if interrupt::check().is_err() {
            "Interrupted".to_owned()
        } else {
            short_type_name(std::any::type_name::<E>())
        };
        let error: Box<dyn Error> = error.into();
        let value = without_native_frames(&error.to_string()).to_owned();
        let mut traceback = vec![format!("\u{1b}[1;31m{name}\u{1b}[0m: {value}")];
        traceback.extend(
            causes(&*error, &value)
                .iter()
                .map(|cause| format!("  caused by: {cause}")),
        );
        Self {
            error: CellError::new(name, value).with_traceback(traceback),
            source_line,
        }
    }
}

/// The messages behind an error, without those that the one before already says.
fn causes(error: &dyn Error, message: &str) -> Vec<String> {
    let mut causes: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !causes
            .last()
            .map_or(message, String::as_str)
            .contains(&text)
        {
            causes.push(text);
        }
        source = cause.source();
    }
    causes
}

/// `polars_error::PolarsError` as `PolarsError`, generic arguments dropped.
fn short_type_name(name: &str) -> String {
    let path = name.split('<').next().unwrap_or(name);
    path.rsplit("::")
        .next()
        .unwrap_or(path)
        .trim_start_matches('&')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing() -> Result<(), Raised> {
        "x".parse::<i32>()?;
        Ok(())
    }

    #[test]
    fn the_error_behind_a_question_mark_keeps_its_name_message_and_place() {
        let raised = failing().unwrap_err();
        assert_eq!(raised.error.name, "ParseIntError");
        assert_eq!(raised.error.value, "invalid digit found in string");
        assert!(raised.source_line > 0);
    }

    #[test]
    fn strings_can_be_raised() {
        let raised = Raised::from("no such student");
        assert_eq!(raised.error.value, "no such student");
    }
}
