//! Figures. A plot function places shapes on a [`scene`] once; the scene is then written as SVG
//! ([`svg`]) and painted as PNG ([`png`]).
//!
//! | module | purpose |
//! |---|---|
//! | [`bars`], [`lines`], [`scatter`], [`heatmap`] | the plot functions |
//! | [`options`] | the options that they share, and their builder methods |
//! | [`panel`], [`ticks`], [`legend`] | the data's rectangle with its axes; round numbers; the legend |
//! | [`paint`], [`typeface`] | colours and markers; text widths and outlines |
//! | [`scene`] | the shapes of a figure |
//! | [`svg`], [`png`] | the two output formats |
//! | [`figure`] | [`Figure`], the result |
//! | [`plotters_backend`] | plotters code draws on a scene |

mod bars;
mod figure;
mod heatmap;
mod legend;
mod lines;
mod options;
mod paint;
mod panel;
mod plotters_backend;
mod png;
mod scatter;
mod scene;
mod svg;
mod ticks;
mod typeface;

pub use bars::{BarAxes, grouped_bars};
pub use figure::{Figure, FigureError};
pub use heatmap::{HeatmapAxes, heatmap};
pub use lines::{LineAxes, line_plot};
pub use plotters_backend::{PlottersArea, SceneBackend, register_plotters_fonts};
pub use scatter::{ScatterAxes, scatter_with_fit};
