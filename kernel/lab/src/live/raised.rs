use std::error::Error;
use std::panic::Location;

use offmodel_events::{CellError, interrupt};

use crate::cell_errors::without_native_backtrace;

/// The error type of every cell: the error behind a failed `?`, with the line of the `?`.
///
/// Any error that can be boxed converts to it, so that `?` works in every cell.
#[derive(Debug)]
pub struct Raised {
    /// The error's name, message and causes.
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
        let value = without_native_backtrace(&error.to_string()).to_owned();
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

/// The messages of an error's sources, except those that the message before already contains.
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

/// Shortens `polars_error::PolarsError` to `PolarsError` and drops generic arguments.
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
    fn the_error_behind_a_question_mark_keeps_its_name_message_and_line() {
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
