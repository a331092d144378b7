//! A finished figure: as SVG text, as PNG bytes, or saved to a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use offmodel_support::atomic_file;
use plotters::prelude::IntoDrawingArea;
use thiserror::Error;

use super::plotters_backend::{PlottersArea, SceneBackend};
use super::png::write_png;
use super::scene::Scene;
use super::svg::write_svg;
use crate::columns::ColumnError;
use crate::statistics::FitError;

/// Why a figure could not be drawn or saved.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FigureError {
    /// A column is missing or of another type.
    #[error("failed to draw a figure: {0}")]
    Column(#[from] ColumnError),
    /// No line can be fitted to the points.
    #[error("failed to draw a figure: {0}")]
    Fit(#[from] FitError),
    /// The frame has no rows to draw.
    #[error("failed to draw a figure: no values in column {column:?}")]
    Empty {
        /// The column of the values.
        column: String,
    },
    /// A value is NaN or infinite.
    #[error("failed to draw a figure: column {column:?} is {value} in row {row}")]
    NotFinite {
        /// The column of the value.
        column: String,
        /// The row, from 0.
        row: usize,
        /// The value.
        value: f64,
    },
    /// Several rows give a value for the same bar or the same cell of a heatmap.
    #[error("failed to draw a figure: two values for {place}")]
    Duplicate {
        /// The labels of the bar or cell.
        place: String,
    },
    /// A figure would have more labels than a reader can tell apart.
    #[error("failed to draw a figure: {count} {what}, at most {limit} can be read")]
    TooMany {
        /// The kind of label, in the plural.
        what: &'static str,
        /// The number of labels.
        count: usize,
        /// The most labels allowed.
        limit: usize,
    },
    /// A side of the figure is empty or too long.
    #[error("failed to draw a figure: size {width} x {height}, each side must be 1 to 8192 pixels")]
    Size {
        /// Width in CSS pixels.
        width: u32,
        /// Height in CSS pixels.
        height: u32,
    },
    /// The caller's plotters code returned an error.
    #[error("failed to draw a figure: {0}")]
    Plotters(Box<dyn std::error::Error + Send + Sync>),
    /// The pixels could not be encoded.
    #[error("failed to encode a figure as PNG: {0}")]
    Png(#[from] png::EncodingError),
    /// The file name ends in neither `.svg` nor `.png`.
    #[error("failed to save a figure to {}: the name must end in .svg or .png", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be written.
    #[error("failed to save a figure: failed to write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
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

    /// Draws a figure with plotters: `draw` receives the drawing area.
    ///
    /// `size` is width and height in CSS pixels. The font family `sans-serif` is DejaVu Sans.
    ///
    /// # Errors
    /// The error of `draw`, or [`FigureError::Size`] if a side is not between 1 and 8192 pixels.
    pub fn with_plotters(
        title: &str,
        size: (u32, u32),
        draw: impl FnOnce(&PlottersArea<'_>) -> Result<(), Box<dyn std::error::Error + Send + Sync>>,
    ) -> Result<Self, FigureError> {
        let (width, height) = size;
        const SIDE: std::ops::RangeInclusive<u32> = 1..=8192;
        if !SIDE.contains(&width) || !SIDE.contains(&height) {
            return Err(FigureError::Size { width, height });
        }
        super::register_plotters_fonts();
        let mut scene = Scene::new(f64::from(width), f64::from(height));
        draw(&SceneBackend::new(&mut scene).into_drawing_area()).map_err(FigureError::Plotters)?;
        Ok(Self::new(scene, title))
    }

    /// The figure as an SVG document. All text is escaped, so the document may be put into an HTML page.
    #[must_use]
    pub fn svg(&self) -> &str {
        &self.svg
    }

    /// The figure as a PNG image with two pixels per CSS pixel in each direction.
    ///
    /// # Errors
    /// Only if the encoder fails.
    pub fn png(&self) -> Result<Vec<u8>, FigureError> {
        write_png(&self.scene)
    }

    /// The title of the figure; empty if it has none.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Width and height in CSS pixels, at which both SVG and PNG should be shown.
    #[must_use]
    pub fn size(&self) -> (f64, f64) {
        (self.scene.width, self.scene.height)
    }

    /// Saves the figure as SVG or PNG, depending on the extension. The file appears whole or not at all.
    ///
    /// # Errors
    /// When the extension is another one, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), FigureError> {
        let path = path.as_ref();
        let extension = path.extension().and_then(|extension| extension.to_str());
        let written = match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => atomic_file::write(path, self.svg.as_bytes()),
            Some("png") => atomic_file::write(path, &self.png()?),
            _ => {
                return Err(FigureError::UnknownFormat {
                    path: path.to_owned(),
                });
            }
        };
        written.map_err(|source| FigureError::Write {
            path: path.to_owned(),
            source,
        })
    }
}

/// Returns an error for the first value that is NaN or infinite.
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
