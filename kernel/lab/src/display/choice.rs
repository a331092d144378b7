//! The choice among the ways to show a value, made by method resolution: each way is a trait
//! implemented for one more reference to [`Shown`], and the compiler takes the first that fits.

use std::fmt::{Debug, Display};

use offmodel_events::MimeBundle;

use super::RichDisplay;

/// A value about to be shown.
#[derive(Debug)]
pub struct Shown<'a, T: ?Sized>(pub &'a T);

/// Through [`RichDisplay`].
pub trait ByRichDisplay {
    /// The value's formats, or `None` to show nothing.
    fn formats(&self) -> Option<MimeBundle>;
}

impl<T: RichDisplay + ?Sized> ByRichDisplay for &&&Shown<'_, T> {
    fn formats(&self) -> Option<MimeBundle> {
        self.0.rich_display()
    }
}

/// Through `Debug`, pretty-printed where one line would be long.
pub trait ByDebug {
    /// The value's text.
    fn formats(&self) -> Option<MimeBundle>;
}

impl<T: Debug + ?Sized> ByDebug for &&Shown<'_, T> {
    fn formats(&self) -> Option<MimeBundle> {
        const LINE: usize = 100;
        let line = format!("{:?}", self.0);
        let text = if line.len() > LINE {
            format!("{:#?}", self.0)
        } else {
            line
        };
        Some(MimeBundle::text(text))
    }
}

/// Through `Display`.
pub trait ByDisplay {
    /// The value's text.
    fn formats(&self) -> Option<MimeBundle>;
}

impl<T: Display + ?Sized> ByDisplay for &Shown<'_, T> {
    fn formats(&self) -> Option<MimeBundle> {
        Some(MimeBundle::text(self.0.to_string()))
    }
}

/// By the name of its type, which every value has.
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

/// The formats of any value.
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

/// Shows any value now, in the middle of a cell, as if it were the cell's last expression: by its
/// own display if it has one, else by `Debug`, `Display` or the name of its type.
///
/// The function [`display`](fn@crate::display::display) does the same for types that have a
/// display of their own; unlike a macro it can be handed on.
#[macro_export]
macro_rules! display_value {
    ($value:expr) => {
        $crate::display::emit_display($crate::formats_of_value!($value))
    };
}

/// Emits the value of a cell's last expression.
#[macro_export]
#[doc(hidden)]
macro_rules! show_value {
    ($value:expr) => {
        $crate::display::emit_result($crate::formats_of_value!($value))
    };
}
