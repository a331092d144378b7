//! A finished figure: SVG text, PNG bytes, a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use plotters::prelude::IntoDrawingArea;
use thiserror::Error;

use super::plotters_backend::{PlottersArea, SceneBackend};
use super::png::write_png;
use super::scene::Scene;
use super::svg::write_svg;
use crate::atomic_file::{WriteFileError, write_atomically};
use crate::columns::ColumnError;
use crate::statistics::FitError;

/// Why a figure could not be drawn or saved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FigureError {
    /// A column is missing or of another type.
    #[error("failed to draw a figure: {0}")]
    Column(#[from] ColumnError),
    /// The points have no line.
    #[error("failed to draw a figure: {0}")]
    Fit(#[from] FitError),
    /// The frame has no rows to draw.
    #[error("failed to draw a figure: no values in column {column:?}")]
    Empty {
        /// Column of the values.
        column: String,
    },
    /// NaN or infinity among the values.
    #[error("failed to draw a figure: column {column:?} is {value} in row {row}")]
    NotFinite {
        /// Column of the value.
        column: String,
        /// Row, counted from zero.
        row: usize,
        /// The offending value.
        value: f64,
    },
    /// Two values for one cell of a heatmap or one bar.
    #[error("failed to draw a figure: two values for {place}")]
    Duplicate {
        /// The labels of the place.
        place: String,
    },
    /// More labels than can be read.
    #[error("failed to draw a figure: {count} {what}, at most {limit} can be read")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A size that is no size.
    #[error("failed to draw a figure: size {width} x {height}, each side must be 1 to 8192 pixels")]
    Size {
        /// Width in CSS pixels.
        width: u32,
        /// Height in CSS pixels.
        height: u32,
    },
    /// The caller's plotters code failed.
    #[error("failed to draw a figure: {0}")]
    Plotters(Box<dyn std::error::Error + Send + Sync>),
    /// The pixels could not be encoded.
    #[error("failed to encode a figure as PNG: {0}")]
    Png(#[from] png::EncodingError),
    /// The file name ends in neither `.svg` nor `.png`.
    #[error("failed to save a figure to {}: the name must end in .svg or .png", path.display())]
    UnknownFormat {
        /// The file asked for.
        path: PathBuf,
    },
    /// The file could not be written.
    #[error("failed to save a figure: {0}")]
    Write(#[from] WriteFileError),
}

/// A drawn figure. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Figure {
    scene: Arc<Scene>,
    svg: Arc<str>,
    title: Arc<str>,
}

impl Figure {
    pub(crate) fn new(scene: Scene, title: &str) -> Self {
        Self {
            svg: write_svg(&scene, title).into(),
            scene: Arc::new(scene),
            title: title.into(),
        }
    }

    /// A figure drawn with plotters: `draw` gets the area and returns what its drawing calls return.
    ///
    /// `size` is width and height in CSS pixels. The text `sans-serif` is set in DejaVu Sans.
    ///
    /// # Errors
    /// What `draw` returns, or a side of zero or above 8192 pixels.
    pub fn with_plotters(
        title: &str,
        size: (u32, u32),
        draw: impl FnOnce(&PlottersArea<'_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<Self, FigureError> {
        let (width, height) = size;
        if !(1..=8192).contains(&width) || !(1..=8192).contains(&height) {
            return Err(FigureError::Size { width, height });
        }
        super::register_plotters_fonts();
        let mut scene = Scene::new(f64::from(width), f64::from(height));
        draw(&SceneBackend::new(&mut scene).into_drawing_area()).map_err(FigureError::Plotters)?;
        Ok(Self::new(scene, title))
    }

    /// The figure as an SVG document. All text in it is escaped, so that it may be put into an HTML page as it is.
    #[must_use]
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The figure as a PNG image with two pixels per CSS pixel.
    ///
    /// # Errors
    /// Only if the encoder fails.
    pub fn png(&self) -> Result<Vec<u8>, FigureError> {
        write_png(&self.scene)
    }

    /// What the figure is called.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Width and height in CSS pixels: the size at which either form is to be shown.
    #[must_use]
    pub fn size(&self) -> (f64, f64) {
        (self.scene.width, self.scene.height)
    }

    /// Writes the figure as SVG or PNG, as the name ends. The file appears whole or not at all.
    ///
    /// # Errors
    /// Another ending, or a file that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), FigureError> {
        let path = path.as_ref();
        let ending = path.extension().and_then(|ending| ending.to_str());
        match ending.map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => write_atomically(path, self.svg.as_bytes())?,
            Some("png") => write_atomically(path, &self.png()?)?,
            _ => {
                return Err(FigureError::UnknownFormat {
                    path: path.to_owned(),
                });
            }
        }
        Ok(())
    }
}

/// Refuses the first value that is NaN or infinite.
pub(crate) fn check_finite(column: &str, values: &[f64]) -> Result<(), FigureError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(row) => Err(FigureError::NotFinite {
            column: column.to_owned(),
            row,
            value: values[row],
        }),
    }
}
