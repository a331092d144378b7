//! Draws the cells, labels and colour bar of a heatmap.

use polars::prelude::DataFrame;

use super::HeatmapAxes;
use super::layout::{BAR_WIDTH, CELL_HEIGHT, Layout, VALUE_SIZE, scale_ticks};
use super::table::{PanelValues, Table};
use crate::figures::figure::{Figure, FigureError};
use crate::figures::paint::{FADED_INK, MISSING, axis_stroke, diverging};
use crate::figures::panel::{LABEL_SIZE, MARGIN, TICK_LABEL_SIZE, draw_title, widest};
use crate::figures::scene::{Align, Fill, Point, Scene, Text};
use crate::figures::ticks::fixed;
use crate::figures::typeface::{Weight, fitting};

/// White gap between cells.
const CELL_GAP: f64 = 1.0;
/// Rectangles of one colour that make up the colour bar.
const BAR_STEPS: u32 = 100;

/// Draws cells with their numbers, coloured on a diverging scale centred at zero. Rows, columns and
/// panels are in order of first appearance; a cell without value is grey.
///
/// # Errors
/// When a column is missing or has the wrong type, there are no values, a cell has two values, a
/// value is not finite, the limit is not positive, or there are more labels than a reader can tell
/// apart.
pub fn heatmap(frame: &DataFrame, axes: &HeatmapAxes) -> Result<Figure, FigureError> {
    let table = Table::read(frame, axes)?;
    let layout = Layout::of(&table, axes);
    let mut scene = Scene::new(layout.width, layout.height);
    draw_title(&mut scene, &axes.options.title);
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
    Ok(Figure::new(scene, &axes.options.title))
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
            Text::new(label, (left - 7.0, middle), TICK_LABEL_SIZE)
                .align(Align::End)
                .centred_vertically(),
        );
    }
    for (column, label) in layout.column_labels.iter().enumerate() {
        let middle = left + (column as f64 + 0.5) * layout.cell_width;
        let text = if layout.label_rotation == 0.0 {
            let under = top + height + 5.0 + TICK_LABEL_SIZE / 2.0;
            Text::new(label, (middle, under), TICK_LABEL_SIZE).align(Align::Middle)
        } else {
            Text::new(label, (middle + 2.0, top + height + 9.0), TICK_LABEL_SIZE)
                .align(Align::End)
                .rotate(layout.label_rotation)
        };
        scene.text(text.centred_vertically());
    }
    let below = layout.panel_height - layout.above - 12.0 - 4.0;
    scene.text(
        Text::new(
            fitting(&axes.options.x_label, LABEL_SIZE, Weight::Regular, width),
            (left + width / 2.0, top + below),
            LABEL_SIZE,
        )
        .align(Align::Middle),
    );
    scene.text(
        Text::new(
            fitting(
                &axes.options.y_label,
                LABEL_SIZE,
                Weight::Regular,
                height.max(60.0),
            ),
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

/// Draws the colour bar to the right of all panels.
fn draw_scale(scene: &mut Scene, table: &Table, axes: &HeatmapAxes, layout: &Layout) {
    let (_, top) = layout.corner(0);
    let last = layout.corner(table.panels.len() - 1).1;
    let bottom = last + CELL_HEIGHT * table.rows.len() as f64;
    let height = (bottom - top)
        .clamp(120.0, 320.0)
        .min(layout.height - top - MARGIN);
    let ticks = scale_ticks(table.limit);
    let labels = ticks.labels();
    let right = layout.width - MARGIN - LABEL_SIZE - 12.0 - widest(&labels, TICK_LABEL_SIZE) - 8.0;
    let left = right - BAR_WIDTH;
    let at = |value: f64| top + (1.0 - (value / table.limit + 1.0) / 2.0) * height;

    for step in 0..BAR_STEPS {
        let share = |step: u32| f64::from(step) / f64::from(BAR_STEPS);
        let value = table.limit * (1.0 - 2.0 * (share(step) + 0.5 / f64::from(BAR_STEPS)));
        // Steps overlap downwards, so that viewers show no white lines between them.
        let end = (top + (share(step + 1)) * height + 0.6).min(top + height);
        scene.rectangle(
            (left, top + share(step) * height),
            (right, end),
            Fill::solid(diverging(value, table.limit)),
        );
    }
    for (value, label) in ticks.values.iter().zip(labels.iter()) {
        if value.abs() > table.limit * 1.000_001 {
            continue;
        }
        let y = at(*value);
        scene.line((right, y), (right + 3.0, y), axis_stroke());
        scene.text(
            Text::new(label, (right + 7.0, y), TICK_LABEL_SIZE)
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
