//! Figures: a plot lays shapes out on a scene once, and the scene is written as SVG and painted as PNG.

mod axes;
mod bars;
mod figure;
mod heatmap;
mod legend;
mod lines;
mod numerals;
mod paint;
mod plotters_backend;
mod png;
mod scatter;
mod scene;
mod svg;
mod typeface;

pub use bars::{BarAxes, grouped_bars};
pub use figure::{Figure, FigureError};
pub use heatmap::{HeatmapAxes, heatmap};
pub use lines::{LineAxes, line_plot};
pub use plotters_backend::{PlottersArea, SceneBackend, register_plotters_fonts};
pub use scatter::{ScatterAxes, scatter_with_fit};
