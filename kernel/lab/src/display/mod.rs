//! How values are shown: in the richest form that their type offers, in several formats at once.
//!
//! Types with a display of their own (frames, figures, models, tensors, fits, evaluations) implement
//! [`RichDisplay`]. [`display!`](macro@display) and the last expression of a cell fall back to
//! `Debug`, then `Display`, then the name of the type.

mod choice;
mod evaluations;
mod figures;
mod frames;
mod models;
mod page;
mod rich;
mod tensors;

pub use crate::display_value as display;
pub use choice::{ByDebug, ByDisplay, ByName, ByRichDisplay, Shown};
pub use rich::{RichDisplay, clear_output, display, emit_display, emit_result};
