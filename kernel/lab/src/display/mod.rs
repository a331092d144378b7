//! How values are shown: the richest form that a type offers, in several formats at once.
//!
//! [`RichDisplay`] is the trait of types with a display of their own (frames, figures, models,
//! tensors, fits, evaluations); [`show!`](crate::live::show) falls back to `Debug`, then
//! `Display`, then the type's name.

mod choice;
mod evaluations;
mod figures;
mod frames;
mod models;
mod rich;
mod tensors;

pub use choice::{ByDebug, ByDisplay, ByName, ByRichDisplay, Shown};
pub use rich::{RichDisplay, clear_output, display, emit_result};
