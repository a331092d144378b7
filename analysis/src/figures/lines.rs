//! Values over a numeric axis, a line per group, with the band of their intervals.

use polars::prelude::DataFrame;

use super::axes::{
    BOTTOM_SPACE, MARGIN, Panel, draw_title, left_space, title_height, width_with_title,
};
use super::figure::{Figure, FigureError, check_finite};
use super::legend::{Legend, Swatch};
use super::numerals::Marks;
use super::paint::{draw_marker, group_color};
use super::scene::{Fill, Point, Scene, Stroke};
use crate::columns::{distinct, labels, numbers};

const PANEL_WIDTH: f64 = 520.0;
const PANEL_HEIGHT: f64 = 320.0;
const MARKER_RADIUS: f64 = 4.0;
/// With more points than this on a line, markers would hide it.
const MARKED_POINTS: usize = 40;

/// Which columns of a frame are drawn, and what the axes are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineAxes {
    x: String,
    y: String,
    x_label: String,
    y_label: String,
    title: String,
    group: Option<String>,
    interval: Option<(String, String)>,
}

impl LineAxes {
    /// Numeric columns `y` over `x`; the axes are called like the columns until told otherwise.
    #[must_use]
    pub fn new(x: &str, y: &str) -> Self {
        Self {
            x: x.to_owned(),
            y: y.to_owned(),
            x_label: x.to_owned(),
            y_label: y.to_owned(),
            title: String::new(),
            group: None,
            interval: None,
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

    /// Title of the figure.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// Column with a line per value.
    #[must_use]
    pub fn group(mut self, column: &str) -> Self {
        self.group = Some(column.to_owned());
        self
    }

    /// Columns with the bounds of a band around each line.
    #[must_use]
    pub fn interval(mut self, low: &str, high: &str) -> Self {
        self.interval = Some((low.to_owned(), high.to_owned()));
        self
    }
}

/// One point: x, y and the bounds of its interval.
type Reading = (f64, f64, f64, f64);

/// Draws a line per group through its points in order of x.
///
/// # Errors
/// A missing or wrong column, no rows, or values that are null or not finite.
pub fn line_plot(frame: &DataFrame, axes: &LineAxes) -> Result<Figure, FigureError> {
    let group_of_row = match &axes.group {
        Some(column) => labels(frame, column)?,
        None => vec![String::new(); frame.height()],
    };
    let groups = distinct(&group_of_row);
    let legend = Legend::of_groups(
        axes.group.as_deref().unwrap_or_default(),
        &groups,
        Swatch::Marker,
    )?;
    let readings = read(frame, axes)?;

    let all = |pick: fn(&Reading) -> f64| readings.iter().map(pick);
    let x_marks = Marks::covering(
        all(|r| r.0).fold(f64::INFINITY, f64::min),
        all(|r| r.0).fold(f64::NEG_INFINITY, f64::max),
        6,
    );
    let y_marks = Marks::covering(
        all(|r| r.1.min(r.2)).fold(f64::INFINITY, f64::min),
        all(|r| r.1.max(r.3)).fold(f64::NEG_INFINITY, f64::max),
        6,
    );
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
        width_with_title(panel.right + legend.width().max(6.0) + MARGIN, &axes.title),
        (panel.bottom + BOTTOM_SPACE + MARGIN).ceil(),
    );
    draw_title(&mut scene, &axes.title);
    panel.draw_y_axis(&mut scene, &y_marks, &axes.y_label);
    panel.draw_x_marks(&mut scene, &x_marks);
    panel.draw_x_name(&mut scene, &axes.x_label, BOTTOM_SPACE - 4.0);
    panel.draw_frame(&mut scene);
    let mut by_group: Vec<Vec<Reading>> = vec![Vec::new(); groups.len()];
    for (reading, group) in readings.into_iter().zip(&group_of_row) {
        let index = groups.iter().position(|known| known == group).unwrap_or(0);
        by_group[index].push(reading);
    }
    for group in &mut by_group {
        group.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    // All bands lie under all lines.
    if axes.interval.is_some() {
        for (index, group) in by_group.iter().enumerate() {
            draw_band(&mut scene, &panel, index, group);
        }
    }
    for (index, group) in by_group.iter().enumerate() {
        draw_line(&mut scene, &panel, index, group);
    }
    legend.draw(&mut scene, (panel.right, panel.top));
    Ok(Figure::new(scene, &axes.title))
}

fn read(frame: &DataFrame, axes: &LineAxes) -> Result<Vec<Reading>, FigureError> {
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
    let (x, y) = (column(&axes.x)?, column(&axes.y)?);
    let (low, high) = match &axes.interval {
        Some((low, high)) => (column(low)?, column(high)?),
        None => (y.clone(), y.clone()),
    };
    Ok((0..x.len())
        .map(|row| (x[row], y[row], low[row], high[row]))
        .collect())
}

fn draw_band(scene: &mut Scene, panel: &Panel, index: usize, group: &[Reading]) {
    let outline: Vec<Point> = group
        .iter()
        .map(|(x, _, _, high)| panel.place(*x, *high))
        .chain(
            group
                .iter()
                .rev()
                .map(|(x, _, low, _)| panel.place(*x, *low)),
        )
        .collect();
    let fill = Fill {
        color: group_color(index),
        opacity: 0.16,
    };
    scene.polygon(outline, fill);
}

fn draw_line(scene: &mut Scene, panel: &Panel, index: usize, group: &[Reading]) {
    let points: Vec<Point> = group
        .iter()
        .map(|(x, y, _, _)| panel.place(*x, *y))
        .collect();
    let marked = points.len() <= MARKED_POINTS;
    scene.polyline(points.clone(), Stroke::new(group_color(index), 2.0));
    if marked {
        for point in points {
            draw_marker(scene, index, point, MARKER_RADIUS);
        }
    }
}
