//! A table of numbers as coloured cells, one panel or several with one scale.

mod draw;
mod layout;
mod options;
mod table;

pub use draw::heatmap;
pub use options::HeatmapAxes;
