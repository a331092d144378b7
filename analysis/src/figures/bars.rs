//! Grouped bars: a cluster per category, a bar per group, with whiskers for intervals.

use polars::prelude::DataFrame;

use super::figure::{Figure, FigureError, check_finite};
use super::legend::{Legend, Swatch};
use super::options::{Options, builder_methods};
use super::paint::{INK, axis_stroke, group_color};
use super::panel::{
    BOTTOM_SPACE, LABEL_SIZE, MARGIN, Panel, TICK_LABEL_SIZE, left_space, start_figure, widest,
};
use super::scene::{Align, Fill, Scene, Stroke, Text};
use super::ticks::Ticks;
use super::typeface::label;
use crate::columns::{Categories, optional_numbers};

const PANEL_WIDTH: f64 = 480.0;
const MIN_PANEL_WIDTH: f64 = 160.0;
const PANEL_HEIGHT: f64 = 300.0;
const MIN_BAR_WIDTH: f64 = 7.0;
const MAX_BAR_WIDTH: f64 = 46.0;
/// Share of a cluster's width that its bars fill.
const FILLED_SHARE: f64 = 0.78;
const MAX_LABEL_CHARACTERS: usize = 28;
const MAX_CATEGORIES: usize = 200;
/// Rotation in degrees of category labels that are wider than their cluster.
const LABEL_ROTATION: f64 = -45.0;

/// The columns and options of [`grouped_bars`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarAxes {
    /// Categories on the x axis, values on the y axis.
    options: Options,
}

impl BarAxes {
    /// A cluster per value of the column `category`, as high as the numeric column `value`. The axes
    /// are labelled with the names of the columns.
    #[must_use]
    pub fn new(category: &str, value: &str) -> Self {
        Self {
            options: Options::new(category, value),
        }
    }
}

builder_methods!(BarAxes: x_label, y_label, title, group, interval);

/// Draws bars from zero, with categories and groups in order of first appearance. A bar whose value
/// is null is left out, as is a whisker one of whose bounds is null.
///
/// # Errors
/// When a column is missing or has the wrong type, there are no values, a value is not finite, two
/// rows have a value for the same bar, or there are more labels than a reader can tell apart.
pub fn grouped_bars(frame: &DataFrame, axes: &BarAxes) -> Result<Figure, FigureError> {
    let options = &axes.options;
    let clusters = Clusters::read(frame, options)?;
    let legend = Legend::of_groups(
        options.group.as_deref().unwrap_or_default(),
        &clusters.groups,
        Swatch::Box,
    )?;
    let y_ticks = clusters.ticks();

    let per_cluster = clusters.groups.len() as f64;
    let count = clusters.categories.len() as f64;
    let bar =
        (PANEL_WIDTH * FILLED_SHARE / count / per_cluster).clamp(MIN_BAR_WIDTH, MAX_BAR_WIDTH);
    let pitch = (bar * per_cluster / FILLED_SHARE).max(TICK_LABEL_SIZE * 1.5);
    let category_labels: Vec<String> = clusters
        .categories
        .iter()
        .map(|category| label(category, MAX_LABEL_CHARACTERS))
        .collect();
    let label_width = widest(&category_labels, TICK_LABEL_SIZE);
    let is_rotated = label_width > pitch - 6.0;
    let slanted = label_width * LABEL_ROTATION.to_radians().cos();
    let below = if is_rotated {
        slanted + LABEL_SIZE + 20.0
    } else {
        BOTTOM_SPACE
    };

    let mut left = MARGIN + left_space(&y_ticks.labels());
    if is_rotated {
        left = left.max(MARGIN + slanted - pitch / 2.0 + 6.0);
    }
    let size = ((pitch * count).max(MIN_PANEL_WIDTH), PANEL_HEIGHT);
    let panel = Panel::new(options, left, size, (0.0, 1.0), &y_ticks, &legend);
    let pitch = (panel.right - panel.left) / count;
    let mut scene = start_figure(options, &panel, &y_ticks, below, &legend);
    for (category, category_label) in category_labels.iter().enumerate() {
        let middle = panel.left + (category as f64 + 0.5) * pitch;
        let text = if is_rotated {
            Text::new(
                category_label,
                (middle + 2.0, panel.bottom + 9.0),
                TICK_LABEL_SIZE,
            )
            .align(Align::End)
            .rotate(LABEL_ROTATION)
            .centred_vertically()
        } else {
            Text::new(
                category_label,
                (middle, panel.bottom + 8.0 + TICK_LABEL_SIZE * 0.8),
                TICK_LABEL_SIZE,
            )
            .align(Align::Middle)
        };
        scene.text(text);
        for group in 0..clusters.groups.len() {
            let left = middle + (group as f64 - per_cluster / 2.0) * bar;
            if let Some(value) = clusters.bar(category, group) {
                draw_bar(&mut scene, &panel, group, (left, left + bar), value);
            }
        }
    }
    panel.draw_x_label(&mut scene, &options.x_label, below - 4.0);
    panel.draw_frame(&mut scene);
    let zero = panel.place_y(0.0);
    scene.line((panel.left, zero), (panel.right, zero), axis_stroke());
    legend.draw(&mut scene, (panel.right, panel.top));
    Ok(Figure::new(scene, &options.title))
}

/// A bar: its value and the bounds of its whisker.
#[derive(Clone, Copy, Debug)]
struct Bar {
    value: f64,
    whisker: Option<(f64, f64)>,
}

struct Clusters {
    categories: Vec<String>,
    groups: Vec<String>,
    /// The bars of the first category by group, then those of the second, and so on.
    bars: Vec<Option<Bar>>,
}

impl Clusters {
    fn read(frame: &DataFrame, options: &Options) -> Result<Self, FigureError> {
        let categories = Categories::read(frame, &options.x)?;
        let groups = Categories::read_optional(frame, options.group.as_deref())?;
        let read = |column: &str| -> Result<Vec<Option<f64>>, FigureError> {
            let values = optional_numbers(frame, column)?;
            let present: Vec<f64> = values.iter().copied().flatten().collect();
            check_finite(column, &present)?;
            Ok(values)
        };
        let values = read(&options.y)?;
        let whiskers: Vec<Option<(f64, f64)>> = match &options.interval {
            Some((low, high)) => read(low)?
                .into_iter()
                .zip(read(high)?)
                .map(|(low, high)| low.zip(high))
                .collect(),
            None => vec![None; values.len()],
        };
        if categories.names.len() > MAX_CATEGORIES {
            return Err(FigureError::TooMany {
                what: "categories",
                count: categories.names.len(),
                limit: MAX_CATEGORIES,
            });
        }
        let mut bars: Vec<Option<Bar>> = vec![None; categories.names.len() * groups.names.len()];
        for (row, value) in values.into_iter().enumerate() {
            let Some(value) = value else { continue };
            let bar = &mut bars[categories.of_row[row] * groups.names.len() + groups.of_row[row]];
            if bar.is_some() {
                return Err(FigureError::Duplicate {
                    place: format!("{} {}", categories.label(row), groups.label(row)),
                });
            }
            *bar = Some(Bar {
                value,
                whisker: whiskers[row],
            });
        }
        if bars.iter().all(Option::is_none) {
            return Err(FigureError::Empty {
                column: options.y.clone(),
            });
        }
        Ok(Self {
            categories: categories.names,
            groups: groups.names,
            bars,
        })
    }

    fn bar(&self, category: usize, group: usize) -> Option<Bar> {
        self.bars[category * self.groups.len() + group]
    }

    /// Ticks that cover zero, the bars and their whiskers.
    fn ticks(&self) -> Ticks {
        let (low, high) =
            self.bars
                .iter()
                .flatten()
                .fold((0.0_f64, 0.0_f64), |(low, high), bar| {
                    let (whisker_low, whisker_high) = bar.whisker.unwrap_or((bar.value, bar.value));
                    (
                        low.min(bar.value).min(whisker_low),
                        high.max(bar.value).max(whisker_high),
                    )
                });
        Ticks::covering(low, high, 6)
    }
}

fn draw_bar(scene: &mut Scene, panel: &Panel, group: usize, (left, right): (f64, f64), bar: Bar) {
    let (zero, end) = (panel.place_y(0.0), panel.place_y(bar.value));
    scene.rectangle(
        (left + 0.75, zero.min(end)),
        (right - 0.75, zero.max(end)),
        Fill::solid(group_color(group)),
    );
    if let Some((low, high)) = bar.whisker {
        let middle = (left + right) / 2.0;
        let cap = ((right - left) * 0.25).min(4.0);
        let stroke = Stroke::new(INK, 1.2);
        let (low, high) = (panel.place_y(low), panel.place_y(high));
        scene.line((middle, low), (middle, high), stroke);
        scene.line((middle - cap, low), (middle + cap, low), stroke);
        scene.line((middle - cap, high), (middle + cap, high), stroke);
    }
}
