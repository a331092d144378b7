//! Chooses how to show a value of any type, at compile time and without specialisation.
//!
//! Each way is a trait with a method `formats`, implemented for [`Shown`] behind a different number
//! of references. Method resolution removes references one by one from `&&&&Shown(value)` and takes
//! the first trait that the type satisfies: [`RichDisplay`], `Debug`, `Display`, or none.

use std::fmt::{Debug, Display};

use offmodel_events::MimeBundle;

use super::RichDisplay;

/// Wraps a value to be shown.
#[derive(Debug)]
pub struct Shown<'a, T: ?Sized>(pub &'a T);

/// Shows a value by its [`RichDisplay`].
pub trait ByRichDisplay {
    /// The value in several formats; none to show nothing.
    fn formats(&self) -> Option<MimeBundle>;
}

impl<T: RichDisplay + ?Sized> ByRichDisplay for &&&Shown<'_, T> {
    fn formats(&self) -> Option<MimeBundle> {
        self.0.rich_display()
    }
}

/// Shows a value by `Debug`, pretty-printed if one line would be long.
pub trait ByDebug {
    /// The value as text.
    fn formats(&self) -> Option<MimeBundle>;
}

impl<T: Debug + ?Sized> ByDebug for &&Shown<'_, T> {
    fn formats(&self) -> Option<MimeBundle> {
        const MAX_LINE_LENGTH: usize = 100;
        let line = format!("{:?}", self.0);
        let text = if line.len() > MAX_LINE_LENGTH {
            format!("{:#?}", self.0)
        } else {
            line
        };
        Some(MimeBundle::text(text))
    }
}

/// Shows a value by `Display`.
pub trait ByDisplay {
    /// The value as text.
    fn formats(&self) -> Option<MimeBundle>;
}

impl<T: Display + ?Sized> ByDisplay for &Shown<'_, T> {
    fn formats(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.0.to_string()))
    }
}

/// Shows a value of any other type by the name of its type.
pub trait ByName {
    /// The type's name in angle brackets.
    fn formats(&self) -> Option<MimeBundle>;
}

impl<T: ?Sized> ByName for Shown<'_, T> {
    fn formats(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(format!(
            "<{}>",
            std::any::type_name::<T>()
        )))
    }
}

/// The formats of a value of any type.
#[macro_export]
#[doc(hidden)]
macro_rules! formats_of_value {
    ($value:expr) => {
        match &$value {
            value => {
                #[allow(unused_imports)]
                use $crate::display::{ByDebug, ByDisplay, ByName, ByRichDisplay};
                (&&&&$crate::display::Shown(value)).formats()
            }
        }
    };
}

/// Shows any value in the middle of a cell, as the cell's last expression is shown: by its own
/// display if it has one, otherwise by `Debug`, `Display` or the name of its type.
///
/// The function [`display`](fn@crate::display::display) does the same for types with a display of
/// their own; unlike a macro, it can be passed as an argument.
#[macro_export]
macro_rules! display_value {
    ($value:expr) => {
        $crate::display::emit_display($crate::formats_of_value!($value))
    };
}

/// Emits the value of a cell's last expression as the cell's result.
#[macro_export]
#[doc(hidden)]
macro_rules! show_value {
    ($value:expr) => {
        $crate::display::emit_result($crate::formats_of_value!($value))
    };
}
