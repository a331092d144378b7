//! Lines over a numeric axis, one per group, with bands for intervals.

use polars::prelude::DataFrame;

use super::figure::{Figure, FigureError, check_finite};
use super::legend::{Legend, Swatch};
use super::options::{Options, builder_methods};
use super::paint::{draw_marker, group_color};
use super::panel::{Panel, start_numeric_figure};
use super::scene::{Fill, Point, Scene, Stroke};
use super::ticks::Ticks;
use crate::columns::{Categories, numbers};

const PANEL_SIZE: (f64, f64) = (520.0, 320.0);
const MARKER_RADIUS: f64 = 4.0;
/// Lines with more points have no markers, which would hide the line.
const MAX_MARKED_POINTS: usize = 40;

/// The columns and options of [`line_plot`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineAxes {
    options: Options,
}

impl LineAxes {
    /// The numeric column `y` over the numeric column `x`. The axes are labelled with the names of
    /// the columns.
    #[must_use]
    pub fn new(x: &str, y: &str) -> Self {
        Self {
            options: Options::new(x, y),
        }
    }
}

builder_methods!(LineAxes: x_label, y_label, title, group, interval);

/// A point of a line with the bounds of its interval.
#[derive(Clone, Copy, Debug)]
struct LinePoint {
    x: f64,
    y: f64,
    low: f64,
    high: f64,
}

/// Draws a line per group through its points in order of x.
///
/// # Errors
/// When a column is missing or has the wrong type, there are no rows, or a value is null or not
/// finite.
pub fn line_plot(frame: &DataFrame, axes: &LineAxes) -> Result<Figure, FigureError> {
    let options = &axes.options;
    let groups = Categories::read_optional(frame, options.group.as_deref())?;
    let legend = Legend::of_groups(
        options.group.as_deref().unwrap_or_default(),
        &groups.names,
        Swatch::Marker,
    )?;
    let points = read(frame, options)?;

    let all = |pick: fn(&LinePoint) -> f64| points.iter().map(pick);
    let x_ticks = Ticks::covering(
        all(|point| point.x).fold(f64::INFINITY, f64::min),
        all(|point| point.x).fold(f64::NEG_INFINITY, f64::max),
        6,
    );
    let y_ticks = Ticks::covering(
        all(|point| point.y.min(point.low)).fold(f64::INFINITY, f64::min),
        all(|point| point.y.max(point.high)).fold(f64::NEG_INFINITY, f64::max),
        6,
    );
    let (mut scene, panel) = start_numeric_figure(options, PANEL_SIZE, &x_ticks, &y_ticks, &legend);
    panel.draw_frame(&mut scene);
    let mut lines: Vec<Vec<LinePoint>> = vec![Vec::new(); groups.names.len()];
    for (point, group) in points.into_iter().zip(&groups.of_row) {
        lines[*group].push(point);
    }
    for line in &mut lines {
        line.sort_by(|a, b| a.x.total_cmp(&b.x));
    }
    // All bands lie under all lines.
    if options.interval.is_some() {
        for (group, line) in lines.iter().enumerate() {
            draw_band(&mut scene, &panel, group, line);
        }
    }
    for (group, line) in lines.iter().enumerate() {
        draw_line(&mut scene, &panel, group, line);
    }
    legend.draw(&mut scene, (panel.right, panel.top));
    Ok(Figure::new(scene, &options.title))
}

fn read(frame: &DataFrame, options: &Options) -> Result<Vec<LinePoint>, FigureError> {
    let column = |name: &str| -> Result<Vec<f64>, FigureError> {
        let values = numbers(frame, name)?;
        check_finite(name, &values)?;
        if values.is_empty() {
            return Err(FigureError::Empty {
                column: name.to_owned(),
            });
        }
        Ok(values)
    };
    let (x, y) = (column(&options.x)?, column(&options.y)?);
    let (low, high) = match &options.interval {
        Some((low, high)) => (column(low)?, column(high)?),
        None => (y.clone(), y.clone()),
    };
    let point = |row: usize| LinePoint {
        x: x[row],
        y: y[row],
        low: low[row],
        high: high[row],
    };
    Ok((0..x.len()).map(point).collect())
}

fn draw_band(scene: &mut Scene, panel: &Panel, group: usize, line: &[LinePoint]) {
    let upper = line.iter().map(|point| panel.place(point.x, point.high));
    let lower = line
        .iter()
        .rev()
        .map(|point| panel.place(point.x, point.low));
    let fill = Fill {
        color: group_color(group),
        opacity: 0.16,
    };
    scene.polygon(upper.chain(lower).collect(), fill);
}

fn draw_line(scene: &mut Scene, panel: &Panel, group: usize, line: &[LinePoint]) {
    let points: Vec<Point> = line
        .iter()
        .map(|point| panel.place(point.x, point.y))
        .collect();
    let has_markers = points.len() <= MAX_MARKED_POINTS;
    scene.polyline(points.clone(), Stroke::new(group_color(group), 2.0));
    if has_markers {
        for point in points {
            draw_marker(scene, group, point, MARKER_RADIUS);
        }
    }
}
