//! A table of numbers as coloured cells, one panel or several with one scale.

use polars::prelude::DataFrame;

use super::axes::{LABEL_SIZE, MARGIN, MARK_SIZE, TITLE_SIZE, draw_title, title_height, widest};
use super::figure::{Figure, FigureError, check_finite};
use super::numerals::{Marks, fixed};
use super::paint::{FADED_INK, MISSING, axis_stroke, diverging};
use super::scene::{Align, Fill, Point, Scene, Text};
use super::typeface::{Weight, fitting, label, text_width};
use crate::columns::{distinct, labels, optional_numbers};

const CELL_HEIGHT: f64 = 30.0;
/// Gap between cells, where the paper shows.
const CELL_GAP: f64 = 1.0;
const VALUE_SIZE: f64 = 10.5;
/// Characters of a row or column label.
const LABEL_LIMIT: usize = 32;
/// Rows and columns of a panel.
const SIDE_LIMIT: usize = 100;
/// Panels of a figure.
const PANEL_LIMIT: usize = 16;
const BAR_WIDTH: f64 = 14.0;
const BAR_STEPS: u32 = 100;
/// Column labels go up to the right.
const TURN: f64 = -45.0;

/// Which columns of a frame are drawn, and how they are called.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatmapAxes {
    rows: String,
    columns: String,
    value: String,
    value_label: String,
    title: String,
    panels: Option<String>,
    limit: Option<f64>,
    decimals: usize,
}

impl HeatmapAxes {
    /// A cell per pair of labels in the columns `rows` and `columns` of a frame, coloured by its column `value`.
    #[must_use]
    pub fn new(rows: &str, columns: &str, value: &str) -> Self {
        Self {
            rows: rows.to_owned(),
            columns: columns.to_owned(),
            value: value.to_owned(),
            value_label: value.to_owned(),
            title: String::new(),
            panels: None,
            limit: None,
            decimals: 2,
        }
    }

    /// What the colours mean, written beside the scale.
    #[must_use]
    pub fn value_label(mut self, label: &str) -> Self {
        label.clone_into(&mut self.value_label);
        self
    }

    /// Title of the figure.
    #[must_use]
    pub fn title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    /// Column by whose values the frame is split into panels.
    #[must_use]
    pub fn panel_by(mut self, column: &str) -> Self {
        self.panels = Some(column.to_owned());
        self
    }

    /// Absolute value at which the colours saturate, to give several figures one scale. Without it the largest
    /// absolute value, rounded up.
    #[must_use]
    pub fn limit(mut self, limit: f64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Decimals of the numbers in the cells (2 without it).
    #[must_use]
    pub fn decimals(mut self, decimals: usize) -> Self {
        self.decimals = decimals.min(6);
        self
    }
}

/// Draws the cells with their numbers on a diverging scale centred at zero. Rows, columns and panels come in order of
/// first appearance; a cell without value is grey.
///
/// # Errors
/// A missing or wrong column, no rows, two values for one cell, a value that is not finite, a limit that is not
/// positive, or more labels than can be read.
pub fn heatmap(frame: &DataFrame, axes: &HeatmapAxes) -> Result<Figure, FigureError> {
    let table = Table::read(frame, axes)?;
    let layout = Layout::of(&table, axes);
    let mut scene = Scene::new(layout.width, layout.height);
    draw_title(&mut scene, &axes.title);
    for (index, panel) in table.panels.iter().enumerate() {
        draw_panel(
            &mut scene,
            &table,
            panel,
            axes,
            &layout,
            layout.corner(index),
        );
    }
    draw_scale(&mut scene, &table, axes, &layout);
    Ok(Figure::new(scene, &axes.title))
}

struct Table {
    rows: Vec<String>,
    columns: Vec<String>,
    panels: Vec<PanelValues>,
    limit: f64,
}

struct PanelValues {
    name: String,
    /// Row by row.
    values: Vec<Option<f64>>,
}

impl Table {
    fn read(frame: &DataFrame, axes: &HeatmapAxes) -> Result<Self, FigureError> {
        let row_of = labels(frame, &axes.rows)?;
        let column_of = labels(frame, &axes.columns)?;
        let panel_of = match &axes.panels {
            Some(column) => labels(frame, column)?,
            None => vec![String::new(); row_of.len()],
        };
        let values = optional_numbers(frame, &axes.value)?;
        let present: Vec<f64> = values.iter().copied().flatten().collect();
        if present.is_empty() {
            return Err(FigureError::Empty {
                column: axes.value.clone(),
            });
        }
        check_finite(&axes.value, &present)?;

        let (rows, columns) = (distinct(&row_of), distinct(&column_of));
        let names = distinct(&panel_of);
        for (what, count, limit) in [
            ("rows", rows.len(), SIDE_LIMIT),
            ("columns", columns.len(), SIDE_LIMIT),
            ("panels", names.len(), PANEL_LIMIT),
        ] {
            if count > limit {
                return Err(FigureError::TooMany { what, count, limit });
            }
        }
        let mut panels: Vec<PanelValues> = names
            .iter()
            .map(|name| PanelValues {
                name: name.clone(),
                values: vec![None; rows.len() * columns.len()],
            })
            .collect();
        let mut taken = vec![false; panels.len() * rows.len() * columns.len()];
        let find = |known: &[String], name: &String| {
            known.iter().position(|other| other == name).unwrap_or(0)
        };
        for (line, value) in values.into_iter().enumerate() {
            let panel = find(&names, &panel_of[line]);
            let cell =
                find(&rows, &row_of[line]) * columns.len() + find(&columns, &column_of[line]);
            let taken = &mut taken[panel * rows.len() * columns.len() + cell];
            if *taken {
                let place = [&row_of[line], &column_of[line], &panel_of[line]];
                let place: Vec<&str> = place
                    .into_iter()
                    .map(String::as_str)
                    .filter(|part| !part.is_empty())
                    .collect();
                return Err(FigureError::Duplicate {
                    place: place.join(", "),
                });
            }
            *taken = true;
            panels[panel].values[cell] = value;
        }
        Ok(Self {
            limit: scale_limit(&present, axes)?,
            rows,
            columns,
            panels,
        })
    }
}

fn scale_limit(values: &[f64], axes: &HeatmapAxes) -> Result<f64, FigureError> {
    match axes.limit {
        Some(limit) if limit.is_finite() && limit > 0.0 => Ok(limit),
        Some(limit) => Err(FigureError::NotFinite {
            column: "limit of the colours".to_owned(),
            row: 0,
            value: limit,
        }),
        None => {
            let largest = values
                .iter()
                .fold(0.0_f64, |max, value| max.max(value.abs()));
            Ok(if largest == 0.0 {
                1.0
            } else {
                Marks::covering(0.0, largest, 5).high()
            })
        }
    }
}

/// Measures of a figure; all panels are alike.
struct Layout {
    cell_width: f64,
    row_labels: Vec<String>,
    column_labels: Vec<String>,
    /// Left of the cells: labels and name of the rows.
    left: f64,
    /// Above the cells: name of the panel.
    above: f64,
    panel_width: f64,
    panel_height: f64,
    panel_columns: usize,
    top: f64,
    width: f64,
    height: f64,
}

impl Layout {
    fn of(table: &Table, axes: &HeatmapAxes) -> Self {
        let shorten = |labels: &[String]| -> Vec<String> {
            labels.iter().map(|l| label(l, LABEL_LIMIT)).collect()
        };
        let (row_labels, column_labels) = (shorten(&table.rows), shorten(&table.columns));
        let numbers: Vec<String> = table
            .panels
            .iter()
            .flat_map(|panel| panel.values.iter().flatten())
            .map(|value| fixed(*value, axes.decimals))
            .collect();
        let cell_width = (widest(&numbers, VALUE_SIZE) + 12.0).max(44.0);

        // A label that ends under its column reaches down and to the left by its length times this.
        let slant = TURN.to_radians().cos();
        let reach = |column: usize, label: &String| {
            text_width(label, MARK_SIZE, Weight::Regular) * slant + 6.0
                - (column as f64 + 0.5) * cell_width
        };
        let slanted = column_labels
            .iter()
            .enumerate()
            .map(|(column, label)| reach(column, label))
            .fold(0.0, f64::max);
        let left = (widest(&row_labels, MARK_SIZE) + LABEL_SIZE + 22.0).max(slanted);
        let below = widest(&column_labels, MARK_SIZE) * slant + MARK_SIZE + LABEL_SIZE + 20.0;
        let above = if axes.panels.is_some() {
            TITLE_SIZE + 8.0
        } else {
            0.0
        };

        let panel_width = left + cell_width * table.columns.len() as f64;
        let panel_height = above + CELL_HEIGHT * table.rows.len() as f64 + below;
        let panel_columns = if table.panels.len() == 1 { 1 } else { 2 };
        let panel_rows = table.panels.len().div_ceil(panel_columns);
        let top = MARGIN + title_height(&axes.title);
        let scale_labels = scale_marks(table.limit).labels();
        let scale = 24.0 + BAR_WIDTH + 8.0 + widest(&scale_labels, MARK_SIZE) + LABEL_SIZE + 12.0;
        let gap = 26.0;
        Self {
            width: (MARGIN * 2.0
                + panel_width * panel_columns as f64
                + gap * (panel_columns - 1) as f64
                + scale)
                .ceil(),
            height: (top
                + panel_height * panel_rows as f64
                + 12.0 * (panel_rows - 1) as f64
                + MARGIN)
                .ceil(),
            cell_width,
            row_labels,
            column_labels,
            left,
            above,
            panel_width: panel_width + gap,
            panel_height: panel_height + 12.0,
            panel_columns,
            top,
        }
    }

    /// Top left corner of the cells of a panel.
    fn corner(&self, panel: usize) -> Point {
        let (row, column) = (panel / self.panel_columns, panel % self.panel_columns);
        (
            MARGIN + self.left + column as f64 * self.panel_width,
            self.top + self.above + row as f64 * self.panel_height,
        )
    }
}

fn draw_panel(
    scene: &mut Scene,
    table: &Table,
    panel: &PanelValues,
    axes: &HeatmapAxes,
    layout: &Layout,
    (left, top): Point,
) {
    let width = layout.cell_width * table.columns.len() as f64;
    let height = CELL_HEIGHT * table.rows.len() as f64;
    if axes.panels.is_some() {
        let name = fitting(&panel.name, LABEL_SIZE, Weight::Bold, width);
        scene.text(Text::new(name, (left, top - 8.0), LABEL_SIZE).bold());
    }
    for (index, value) in panel.values.iter().enumerate() {
        let (row, column) = (index / table.columns.len(), index % table.columns.len());
        let corner = (
            left + column as f64 * layout.cell_width,
            top + row as f64 * CELL_HEIGHT,
        );
        draw_cell(
            scene,
            *value,
            table.limit,
            axes.decimals,
            corner,
            layout.cell_width,
        );
    }
    for (row, label) in layout.row_labels.iter().enumerate() {
        let middle = top + (row as f64 + 0.5) * CELL_HEIGHT;
        scene.text(
            Text::new(label, (left - 7.0, middle), MARK_SIZE)
                .align(Align::End)
                .centred_vertically(),
        );
    }
    for (column, label) in layout.column_labels.iter().enumerate() {
        let middle = left + (column as f64 + 0.5) * layout.cell_width;
        scene.text(
            Text::new(label, (middle + 2.0, top + height + 9.0), MARK_SIZE)
                .align(Align::End)
                .rotate(TURN)
                .centred_vertically(),
        );
    }
    let below = layout.panel_height - layout.above - 12.0 - 4.0;
    scene.text(
        Text::new(
            fitting(&axes.columns, LABEL_SIZE, Weight::Regular, width),
            (left + width / 2.0, top + below),
            LABEL_SIZE,
        )
        .align(Align::Middle),
    );
    scene.text(
        Text::new(
            fitting(&axes.rows, LABEL_SIZE, Weight::Regular, height.max(60.0)),
            (left - layout.left + LABEL_SIZE, top + height / 2.0),
            LABEL_SIZE,
        )
        .align(Align::Middle)
        .rotate(-90.0),
    );
}

fn draw_cell(
    scene: &mut Scene,
    value: Option<f64>,
    limit: f64,
    decimals: usize,
    (left, top): Point,
    width: f64,
) {
    let color = value.map_or(MISSING, |value| diverging(value, limit));
    scene.rectangle(
        (left, top),
        (left + width - CELL_GAP, top + CELL_HEIGHT - CELL_GAP),
        Fill::solid(color),
    );
    if let Some(value) = value {
        let middle = (
            left + (width - CELL_GAP) / 2.0,
            top + (CELL_HEIGHT - CELL_GAP) / 2.0,
        );
        scene.text(
            Text::new(fixed(value, decimals), middle, VALUE_SIZE)
                .color(color.legible_text())
                .align(Align::Middle)
                .centred_vertically(),
        );
    }
}

/// The colour bar to the right of all panels.
fn draw_scale(scene: &mut Scene, table: &Table, axes: &HeatmapAxes, layout: &Layout) {
    let (_, top) = layout.corner(0);
    let last = layout.corner(table.panels.len() - 1).1;
    let bottom = last + CELL_HEIGHT * table.rows.len() as f64;
    let height = (bottom - top)
        .clamp(120.0, 320.0)
        .min(layout.height - top - MARGIN);
    let marks = scale_marks(table.limit);
    let labels = marks.labels();
    let right = layout.width - MARGIN - LABEL_SIZE - 12.0 - widest(&labels, MARK_SIZE) - 8.0;
    let left = right - BAR_WIDTH;
    let at = |value: f64| top + (1.0 - (value / table.limit + 1.0) / 2.0) * height;

    for step in 0..BAR_STEPS {
        let share = |step: u32| f64::from(step) / f64::from(BAR_STEPS);
        let value = table.limit * (1.0 - 2.0 * (share(step) + 0.5 / f64::from(BAR_STEPS)));
        // Steps overlap downwards, or a viewer would show the paper between them.
        let end = (top + (share(step + 1)) * height + 0.6).min(top + height);
        scene.rectangle(
            (left, top + share(step) * height),
            (right, end),
            Fill::solid(diverging(value, table.limit)),
        );
    }
    for (value, label) in marks.values.iter().zip(labels.iter()) {
        if value.abs() > table.limit * 1.000_001 {
            continue;
        }
        let y = at(*value);
        scene.line((right, y), (right + 3.0, y), axis_stroke());
        scene.text(
            Text::new(label, (right + 7.0, y), MARK_SIZE)
                .color(FADED_INK)
                .centred_vertically(),
        );
    }
    scene.text(
        Text::new(
            fitting(
                &axes.value_label,
                LABEL_SIZE,
                Weight::Regular,
                height + 40.0,
            ),
            (layout.width - MARGIN, top + height / 2.0),
            LABEL_SIZE,
        )
        .align(Align::Middle)
        .rotate(-90.0),
    );
}

fn scale_marks(limit: f64) -> Marks {
    Marks::covering(-limit, limit, 5)
}
