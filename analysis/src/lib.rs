//! Statistics, figures and displays of frames. Needs no libtorch, so any Rust program can use it.
//!
//! | module | purpose |
//! |---|---|
//! | `statistics` | [`ordinary_least_squares`], [`wilson_interval`], [`pass_at_k`], [`bootstrap_mean_difference`] |
//! | `study` | [`change_against_gap`] with leave-one-family-out, and the [`published`] numbers |
//! | `figures` | [`scatter_with_fit`], [`heatmap`], [`grouped_bars`], [`line_plot`]: each returns a [`Figure`] |
//! | `display` | [`frame_html`], [`frame_text`], and the self-contained HTML [`Report`] |

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
