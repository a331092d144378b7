//! Bars side by side: a cluster per category, a bar per group, with whiskers for their intervals.

use polars::prelude::DataFrame;

use super::axes::{
    BOTTOM_SPACE, LABEL_SIZE, MARGIN, MARK_SIZE, Panel, draw_title, left_space, title_height,
    widest, width_with_title,
};
use super::figure::{Figure, FigureError, check_finite};
use super::legend::{Legend, Swatch};
use super::numerals::Marks;
use super::paint::{INK, axis_stroke, group_color};
use super::scene::{Align, Fill, Scene, Stroke, Text};
use super::typeface::label;
use crate::columns::{distinct, labels, optional_numbers};

const PANEL_HEIGHT: f64 = 300.0;
const PANEL_WIDTH: f64 = 480.0;
/// Narrowest and widest bar.
const BAR_WIDTH: (f64, f64) = (7.0, 46.0);
/// Share of a category's width that its bars take.
const FILLED: f64 = 0.78;
const LABEL_LIMIT: usize = 28;
const CATEGORY_LIMIT: usize = 200;
const TURN: f64 = -45.0;

/// Which columns of a frame are drawn, and what the axes are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BarAxes {
    category: String,
    value: String,
    group: Option<String>,
    interval: Option<(String, String)>,
    x_label: String,
    y_label: String,
    title: String,
}

impl BarAxes {
    /// A cluster per value of the column `category`, as high as the numeric column `value`.
    #[must_use]
    pub fn new(category: &str, value: &str) -> Self {
        Self {
            category: category.to_owned(),
            value: value.to_owned(),
            group: None,
            interval: None,
            x_label: category.to_owned(),
            y_label: value.to_owned(),
            title: String::new(),
        }
    }

    /// Column with a bar per value in each cluster.
    #[must_use]
    pub fn group(mut self, column: &str) -> Self {
        self.group = Some(column.to_owned());
        self
    }

    /// Columns with the bounds of a whisker on each bar; a bar whose bounds are null has none.
    #[must_use]
    pub fn interval(mut self, low: &str, high: &str) -> Self {
        self.interval = Some((low.to_owned(), high.to_owned()));
        self
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
}

/// Draws bars from zero; categories and groups come in order of first appearance, and a bar without value is left out.
///
/// # Errors
/// A missing or wrong column, no values, a value that is not finite, two values for one bar, or more labels than can
/// be read.
pub fn grouped_bars(frame: &DataFrame, axes: &BarAxes) -> Result<Figure, FigureError> {
    let clusters = Clusters::read(frame, axes)?;
    let legend = Legend::of_groups(
        axes.group.as_deref().unwrap_or_default(),
        &clusters.groups,
        Swatch::Box,
    )?;
    let y_marks = clusters.marks();

    let per_cluster = clusters.groups.len() as f64;
    let count = clusters.categories.len() as f64;
    let (narrow, wide) = BAR_WIDTH;
    let bar = (PANEL_WIDTH * FILLED / count / per_cluster).clamp(narrow, wide);
    let pitch = (bar * per_cluster / FILLED).max(MARK_SIZE * 1.5);
    let category_labels: Vec<String> = clusters
        .categories
        .iter()
        .map(|category| label(category, LABEL_LIMIT))
        .collect();
    let broadest = widest(&category_labels, MARK_SIZE);
    let turned = broadest > pitch - 6.0;
    let slanted = broadest * TURN.to_radians().cos();
    let below = if turned {
        slanted + LABEL_SIZE + 20.0
    } else {
        BOTTOM_SPACE
    };

    let mut left = MARGIN + left_space(&y_marks.labels());
    if turned {
        left = left.max(MARGIN + slanted - pitch / 2.0 + 6.0);
    }
    let top = MARGIN + title_height(&axes.title);
    let panel = Panel {
        left,
        top,
        right: left + (pitch * count).max(160.0),
        bottom: top + PANEL_HEIGHT.max(legend.height()),
        x: (0.0, 1.0),
        y: (y_marks.low(), y_marks.high()),
    };
    let pitch = (panel.right - panel.left) / count;
    let mut scene = Scene::new(
        width_with_title(panel.right + legend.width().max(6.0) + MARGIN, &axes.title),
        (panel.bottom + below + MARGIN).ceil(),
    );
    draw_title(&mut scene, &axes.title);
    panel.draw_y_axis(&mut scene, &y_marks, &axes.y_label);
    for (category, category_label) in category_labels.iter().enumerate() {
        let middle = panel.left + (category as f64 + 0.5) * pitch;
        let text = if turned {
            Text::new(
                category_label,
                (middle + 2.0, panel.bottom + 9.0),
                MARK_SIZE,
            )
            .align(Align::End)
            .rotate(TURN)
            .centred_vertically()
        } else {
            Text::new(
                category_label,
                (middle, panel.bottom + 8.0 + MARK_SIZE * 0.8),
                MARK_SIZE,
            )
            .align(Align::Middle)
        };
        scene.text(text);
        for group in 0..clusters.groups.len() {
            let left = middle + (group as f64 - per_cluster / 2.0) * bar;
            if let Some(height) = clusters.bar(category, group) {
                draw_bar(&mut scene, &panel, group, (left, left + bar), height);
            }
        }
    }
    panel.draw_x_name(&mut scene, &axes.x_label, below - 4.0);
    panel.draw_frame(&mut scene);
    let zero = panel.place_y(0.0);
    scene.line((panel.left, zero), (panel.right, zero), axis_stroke());
    legend.draw(&mut scene, (panel.right, panel.top));
    Ok(Figure::new(scene, &axes.title))
}

/// Height of a bar and the bounds of its whisker.
#[derive(Clone, Copy, Debug)]
struct Height {
    value: f64,
    whisker: Option<(f64, f64)>,
}

struct Clusters {
    categories: Vec<String>,
    groups: Vec<String>,
    /// Category by category.
    bars: Vec<Option<Height>>,
}

impl Clusters {
    fn read(frame: &DataFrame, axes: &BarAxes) -> Result<Self, FigureError> {
        let category_of = labels(frame, &axes.category)?;
        let group_of = match &axes.group {
            Some(column) => labels(frame, column)?,
            None => vec![String::new(); category_of.len()],
        };
        let read = |column: &str| -> Result<Vec<Option<f64>>, FigureError> {
            let values = optional_numbers(frame, column)?;
            let present: Vec<f64> = values.iter().copied().flatten().collect();
            check_finite(column, &present)?;
            Ok(values)
        };
        let values = read(&axes.value)?;
        let whiskers: Vec<Option<(f64, f64)>> = match &axes.interval {
            Some((low, high)) => read(low)?
                .into_iter()
                .zip(read(high)?)
                .map(|(low, high)| low.zip(high))
                .collect(),
            None => vec![None; values.len()],
        };
        let (categories, groups) = (distinct(&category_of), distinct(&group_of));
        if categories.len() > CATEGORY_LIMIT {
            return Err(FigureError::TooMany {
                what: "categories",
                count: categories.len(),
                limit: CATEGORY_LIMIT,
            });
        }
        let mut bars: Vec<Option<Height>> = vec![None; categories.len() * groups.len()];
        for (row, value) in values.into_iter().enumerate() {
            let find = |known: &[String], name: &String| {
                known.iter().position(|other| other == name).unwrap_or(0)
            };
            let place =
                find(&categories, &category_of[row]) * groups.len() + find(&groups, &group_of[row]);
            let Some(value) = value else { continue };
            if bars[place].is_some() {
                return Err(FigureError::Duplicate {
                    place: format!("{} {}", category_of[row], group_of[row]),
                });
            }
            bars[place] = Some(Height {
                value,
                whisker: whiskers[row],
            });
        }
        if bars.iter().all(Option::is_none) {
            return Err(FigureError::Empty {
                column: axes.value.clone(),
            });
        }
        Ok(Self {
            categories,
            groups,
            bars,
        })
    }

    fn bar(&self, category: usize, group: usize) -> Option<Height> {
        self.bars[category * self.groups.len() + group]
    }

    /// Marks that cover zero, the bars and their whiskers.
    fn marks(&self) -> Marks {
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
        Marks::covering(low, high, 6)
    }
}

fn draw_bar(
    scene: &mut Scene,
    panel: &Panel,
    group: usize,
    (left, right): (f64, f64),
    bar: Height,
) {
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
