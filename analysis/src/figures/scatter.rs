//! Points with their least-squares line and its confidence band.

use polars::prelude::DataFrame;

use super::axes::{BOTTOM_SPACE, MARGIN, Panel, draw_title, left_space, title_height};
use super::figure::{Figure, FigureError};
use super::legend::{Legend, Swatch};
use super::numerals::{Marks, fixed};
use super::paint::{INK, draw_marker};
use super::scene::{Fill, Point, Scene, Stroke};
use crate::columns::{distinct, labels, numbers};
use crate::statistics::{ConfidenceInterval, LineFit, ordinary_least_squares};
use crate::study::ChangeAgainstGap;

const PANEL_WIDTH: f64 = 520.0;
const PANEL_HEIGHT: f64 = 370.0;
const MARKER_RADIUS: f64 = 4.5;
/// Points of the outline of the band, along x.
const BAND_STEPS: u32 = 80;

/// Which columns of a frame are drawn, and what the axes are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScatterAxes {
    x: String,
    y: String,
    x_label: String,
    y_label: String,
    intercept_label: String,
    title: String,
    group: Option<String>,
    group_label: String,
}

impl ScatterAxes {
    /// Numeric columns `y` over `x`; the axes are called like the columns until told otherwise.
    #[must_use]
    pub fn new(x: &str, y: &str) -> Self {
        Self {
            x: x.to_owned(),
            y: y.to_owned(),
            x_label: x.to_owned(),
            y_label: y.to_owned(),
            intercept_label: format!("{y} at {x} = 0"),
            title: String::new(),
            group: None,
            group_label: String::new(),
        }
    }

    /// Name of the x axis.
    #[must_use]
    pub fn x_label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.x_label);
        self
    }

    /// Name of the y axis.
    #[must_use]
    pub fn y_label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.y_label);
        self
    }

    /// What the intercept is called beside the figure.
    #[must_use]
    pub fn intercept_label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.intercept_label);
        self
    }

    /// Title of the figure.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// Column whose values are told apart by colour and marker, and what they are.
    #[must_use]
    pub fn group(mut self, column: &str, label: &str) -> Self {
        self.group = Some(column.to_owned());
        label.clone_into(&mut self.group_label);
        self
    }
}

/// Draws a point per row of `frame`, the line by ordinary least squares with its pointwise 95% band, and beside them
/// the intercept, slope and correlation with their intervals.
///
/// # Errors
/// A missing or wrong column, nulls or values that are not finite, or points through which no line can be fitted.
pub fn scatter_with_fit(frame: &DataFrame, axes: &ScatterAxes) -> Result<Figure, FigureError> {
    let x = numbers(frame, &axes.x)?;
    let y = numbers(frame, &axes.y)?;
    let fit = ordinary_least_squares(&x, &y)?;
    let group_of_row = match &axes.group {
        Some(column) => labels(frame, column)?,
        None => vec![String::new(); x.len()],
    };
    let groups = distinct(&group_of_row);
    let mut legend = Legend::of_groups(&axes.group_label, &groups, Swatch::Marker)?;
    legend.notes = notes(&fit, axes);

    let (low_x, high_x) = range(&x);
    let band = band(&fit, low_x, high_x);
    let (low_y, high_y) = range(&y);
    let x_marks = Marks::covering(low_x, high_x, 8);
    let y_marks = Marks::covering(low_y.min(fit.at(low_x)), high_y.max(fit.at(high_x)), 6);
    let left = MARGIN + left_space(&y_marks.labels());
    let top = MARGIN + title_height(&axes.title);
    let panel = Panel {
        left,
        top,
        right: left + PANEL_WIDTH,
        bottom: top + PANEL_HEIGHT.max(legend.height()),
        x: (x_marks.low(), x_marks.high()),
        y: (y_marks.low(), y_marks.high()),
    };

    let mut scene = Scene::new(
        (panel.right + legend.width() + MARGIN).ceil(),
        (panel.bottom + BOTTOM_SPACE + MARGIN).ceil(),
    );
    draw_title(&mut scene, &axes.title);
    panel.draw_y_axis(&mut scene, &y_marks, &axes.y_label);
    panel.draw_x_marks(&mut scene, &x_marks);
    panel.draw_x_name(&mut scene, &axes.x_label, BOTTOM_SPACE - 4.0);
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
    for ((x, y), group) in x.iter().zip(&y).zip(&group_of_row) {
        let index = groups.iter().position(|known| known == group).unwrap_or(0);
        draw_marker(&mut scene, index, panel.place(*x, *y), MARKER_RADIUS);
    }
    legend.draw(&mut scene, (panel.right, panel.top));
    Ok(Figure::new(scene, &axes.title))
}

impl ChangeAgainstGap {
    /// The pairs, marked by the family of the student, with the fitted line.
    ///
    /// # Errors
    /// Only if `pairs` was changed by hand.
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

fn band(fit: &LineFit, low: f64, high: f64) -> Vec<(f64, ConfidenceInterval)> {
    (0..=BAND_STEPS)
        .map(|step| low + (high - low) * f64::from(step) / f64::from(BAND_STEPS))
        .map(|x| (x, fit.interval_at(x)))
        .collect()
}

fn range(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (low, high)
}
