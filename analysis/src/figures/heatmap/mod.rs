//! Heatmaps: tables of numbers as coloured cells, in one panel or in several with the same scale.

mod draw;
mod layout;
mod options;
mod table;

pub use draw::heatmap;
pub use options::HeatmapAxes;
