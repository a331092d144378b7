//! The formatting style of responses, apart from their content.
//!
//! - [`Style`]: which elements a text uses (LaTeX, headings, bold, lists, numbered steps);
//! - [`StyleRow`]: shares of these elements over many texts, and text lengths.

mod latex;
mod markdown;
mod summary;
mod text_style;

pub use summary::StyleRow;
pub use text_style::Style;
