//! rustc's rendered messages, with the lines of generated code replaced by those of cells.
//!
//! The live session and compiled programs generate different code around the same cells. Each
//! describes its code as a [`SourceMap`], and [`render_in_cells`] rewrites the text that rustc
//! rendered: notes, suggestions and colours stay, because only rustc knows them.

mod line;
mod rewrite;
mod styled;

pub use rewrite::{CellPosition, SourceMap, headline, render_in_cells};
