//! Statistics, frames and figures of offmodel, without libtorch: usable from any Rust program.
//!
//! - statistics: [`ordinary_least_squares`], [`wilson_interval`], [`pass_at_k`], [`bootstrap_mean_difference`];
//! - the study: [`change_against_gap`] with leave-one-family-out, and the [`published`] figures;
//! - figures: [`scatter_with_fit`], [`heatmap`], [`grouped_bars`], [`line_plot`], each a [`Figure`] that is SVG and PNG;
//! - display: [`frame_html`], [`frame_text`], and the self-contained HTML [`Report`].

mod atomic_file;
mod columns;
mod display;
mod figures;
mod statistics;
mod study;

pub use columns::ColumnError;
pub use display::*;
pub use figures::*;
pub use statistics::*;
pub use study::*;
