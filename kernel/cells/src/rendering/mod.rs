//! rustc's own rendering of a message, with the generated file's lines replaced by the cells'.
//!
//! The live kernel and the batch program generate different files around the same cells; both
//! tell, as [`Origins`], where a line of theirs came from, and both show what [`in_cells`] makes
//! of the compiler's words: source lines of notes, suggestions and colours included.

mod headline;
mod line;
mod rewrite;
mod styled;

pub use headline::headline;
pub use rewrite::{Origins, Place, in_cells};
