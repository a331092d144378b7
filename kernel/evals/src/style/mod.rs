//! How responses are written, apart from what they say.
//!
//! - [`Style`]: what one text uses (LaTeX, headings, bold, lists, numbered steps);
//! - [`StyleRow`]: the shares over many texts, and how long they are.

mod latex;
mod markdown;
mod summary;
mod text_style;

pub use summary::StyleRow;
pub use text_style::Style;
