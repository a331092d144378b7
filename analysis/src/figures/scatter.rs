//! Points with their least-squares line and its confidence band.

use polars::prelude::DataFrame;

use super::figure::{Figure, FigureError};
use super::legend::{Legend, Swatch};
use super::options::{Options, builder_methods};
use super::paint::{INK, draw_marker};
use super::panel::start_numeric_figure;
use super::scene::{Fill, Point, Stroke};
use super::ticks::{Ticks, fixed};
use crate::columns::{Categories, numbers};
use crate::statistics::{ConfidenceInterval, LineFit, ordinary_least_squares};
use crate::study::ChangeAgainstGap;

const PANEL_SIZE: (f64, f64) = (520.0, 370.0);
const MARKER_RADIUS: f64 = 4.5;
/// Sections of the outline of the band along x.
const BAND_SECTIONS: u32 = 80;

/// The columns and options of [`scatter_with_fit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScatterAxes {
    options: Options,
    intercept_label: String,
    group_label: String,
}

impl ScatterAxes {
    /// The numeric column `y` over the numeric column `x`. The axes are labelled with the names of
    /// the columns.
    #[must_use]
    pub fn new(x: &str, y: &str) -> Self {
        Self {
            options: Options::new(x, y),
            intercept_label: format!("{y} at {x} = 0"),
            group_label: String::new(),
        }
    }

    /// Sets the name of the intercept in the notes beside the figure.
    #[must_use]
    pub fn intercept_label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.intercept_label);
        self
    }

    /// Gives the points of each value of `column` a colour and a marker of their own; `label` is the
    /// heading of the legend.
    #[must_use]
    pub fn group(mut self, column: &str, label: &str) -> Self {
        self.options.group = Some(column.to_owned());
        label.clone_into(&mut self.group_label);
        self
    }
}

builder_methods!(ScatterAxes: x_label, y_label, title);

/// Draws a point per row of `frame`, the line by ordinary least squares with its pointwise 95% band,
/// and beside them intercept, slope and correlation with their intervals.
///
/// # Errors
/// When a column is missing or has the wrong type, a value is null or not finite, or no line can be
/// fitted to the points.
pub fn scatter_with_fit(frame: &DataFrame, axes: &ScatterAxes) -> Result<Figure, FigureError> {
    let options = &axes.options;
    let x = numbers(frame, &options.x)?;
    let y = numbers(frame, &options.y)?;
    let fit = ordinary_least_squares(&x, &y)?;
    let groups = Categories::read_optional(frame, options.group.as_deref())?;
    let mut legend = Legend::of_groups(&axes.group_label, &groups.names, Swatch::Marker)?;
    legend.notes = notes(&fit, axes);

    let (low_x, high_x) = range(&x);
    let band = band(&fit, low_x, high_x);
    let (low_y, high_y) = range(&y);
    let x_ticks = Ticks::covering(low_x, high_x, 8);
    let y_ticks = Ticks::covering(low_y.min(fit.at(low_x)), high_y.max(fit.at(high_x)), 6);
    let (mut scene, panel) = start_numeric_figure(options, PANEL_SIZE, &x_ticks, &y_ticks, &legend);
    panel.draw_zero_lines(&mut scene);
    panel.draw_frame(&mut scene);

    let shade = Fill {
        color: INK,
        opacity: 0.13,
    };
    let outline: Vec<Point> = band
        .iter()
        .map(|(x, interval)| (*x, interval.high))
        .chain(band.iter().rev().map(|(x, interval)| (*x, interval.low)))
        .map(|(x, y)| panel.place(x, panel.clamp_y(y)))
        .collect();
    scene.polygon(outline, shade);
    scene.line(
        panel.place(low_x, fit.at(low_x)),
        panel.place(high_x, fit.at(high_x)),
        Stroke::new(INK, 1.8),
    );
    for ((x, y), group) in x.iter().zip(&y).zip(&groups.of_row) {
        draw_marker(&mut scene, *group, panel.place(*x, *y), MARKER_RADIUS);
    }
    legend.draw(&mut scene, (panel.right, panel.top));
    Ok(Figure::new(scene, &options.title))
}

impl ChangeAgainstGap {
    /// Draws the pairs with the fitted line; the marker of a pair is that of the student's family.
    ///
    /// # Errors
    /// Only if `pairs` was modified.
    pub fn figure(&self, title: &str) -> Result<Figure, FigureError> {
        scatter_with_fit(
            &self.pairs,
            &ScatterAxes::new("gap", "change")
                .x_label("gap: teacher's score minus student's baseline")
                .y_label("change: score after training minus before")
                .intercept_label("change at zero gap")
                .group("student_family", "student family")
                .title(title),
        )
    }
}

/// The notes of the legend: intercept, slope, correlation, and how they were computed.
fn notes(fit: &LineFit, axes: &ScatterAxes) -> Vec<Vec<String>> {
    let bounds = |interval: ConfidenceInterval| {
        format!("[{}, {}]", fixed(interval.low, 3), fixed(interval.high, 3))
    };
    let mut correlation = vec![format!("r = {}", fixed(fit.r, 3))];
    correlation.extend(fit.r_interval.map(bounds));
    vec![
        vec![
            format!("{}: {}", axes.intercept_label, fixed(fit.intercept, 3)),
            bounds(fit.intercept_interval),
        ],
        vec![
            format!("slope: {}", fixed(fit.slope, 3)),
            bounds(fit.slope_interval),
        ],
        correlation,
        vec![
            format!("n = {}", fit.n),
            "least squares, 95% intervals".to_owned(),
        ],
    ]
}

/// Points along x with the interval of the fitted mean there.
fn band(fit: &LineFit, low: f64, high: f64) -> Vec<(f64, ConfidenceInterval)> {
    (0..=BAND_SECTIONS)
        .map(|section| low + (high - low) * f64::from(section) / f64::from(BAND_SECTIONS))
        .map(|x| (x, fit.interval_at(x)))
        .collect()
}

fn range(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (low, high)
}
