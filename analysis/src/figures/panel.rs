//! The rectangle that holds the data of a figure, its axes, ticks and grid, and the title.

use super::legend::Legend;
use super::options::Options;
use super::paint::{FADED_INK, axis_stroke, grid_stroke};
use super::scene::{Align, Point, Scene, Stroke, Text};
use super::ticks::Ticks;
use super::typeface::{Weight, fitting, text_width};

const TICK_LENGTH: f64 = 4.0;
/// Em size of tick labels, legends and categories.
pub(crate) const TICK_LABEL_SIZE: f64 = 11.0;
/// Em size of the label of an axis.
pub(crate) const LABEL_SIZE: f64 = 12.0;
/// Em size of the title.
pub(crate) const TITLE_SIZE: f64 = 14.0;
/// Free space around a figure.
pub(crate) const MARGIN: f64 = 14.0;
/// Height below a panel for horizontal tick labels and the label of its x axis.
pub(crate) const BOTTOM_SPACE: f64 = TICK_LENGTH + 4.0 + TICK_LABEL_SIZE + 8.0 + LABEL_SIZE + 2.0;
/// A longer title does not widen its figure; it is cut.
const MAX_TITLE_WIDTH: f64 = 720.0;

/// The rectangle of the data in scene coordinates.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
    /// Values of x at the left and right edge.
    pub(crate) x: (f64, f64),
    /// Values of y at the bottom and top edge.
    pub(crate) y: (f64, f64),
}

/// Starts a figure with one panel: title, y axis, and space for the legend at the right and for the x
/// axis, `below` pixels, under the panel.
pub(super) fn start_figure(
    options: &Options,
    panel: &Panel,
    y_ticks: &Ticks,
    below: f64,
    legend: &Legend,
) -> Scene {
    let width = panel.right + legend.width().max(6.0) + MARGIN;
    let mut scene = Scene::new(
        width_with_title(width, &options.title),
        (panel.bottom + below + MARGIN).ceil(),
    );
    draw_title(&mut scene, &options.title);
    panel.draw_y_axis(&mut scene, y_ticks, &options.y_label);
    scene
}

/// Starts a figure with one panel and a numeric x axis.
pub(super) fn start_numeric_figure(
    options: &Options,
    size: (f64, f64),
    x_ticks: &Ticks,
    y_ticks: &Ticks,
    legend: &Legend,
) -> (Scene, Panel) {
    let left = MARGIN + left_space(&y_ticks.labels());
    let x = (x_ticks.low(), x_ticks.high());
    let panel = Panel::new(options, left, size, x, y_ticks, legend);
    let mut scene = start_figure(options, &panel, y_ticks, BOTTOM_SPACE, legend);
    panel.draw_x_ticks(&mut scene, x_ticks);
    panel.draw_x_label(&mut scene, &options.x_label, BOTTOM_SPACE - 4.0);
    (scene, panel)
}

/// Height of a title at the top of a figure; 0 without one.
pub(crate) fn title_height(title: &str) -> f64 {
    if title.is_empty() {
        0.0
    } else {
        TITLE_SIZE + 12.0
    }
}

/// The width of a figure whose parts need `width`, widened for its title.
pub(crate) fn width_with_title(width: f64, title: &str) -> f64 {
    let title = text_width(title, TITLE_SIZE, Weight::Bold) + 2.0 * MARGIN;
    width.max(title.min(MAX_TITLE_WIDTH)).ceil()
}

/// Draws the title at the top left of the scene.
pub(crate) fn draw_title(scene: &mut Scene, title: &str) {
    if title.is_empty() {
        return;
    }
    let width = scene.width - 2.0 * MARGIN;
    let content = fitting(title, TITLE_SIZE, Weight::Bold, width);
    scene.text(Text::new(content, (MARGIN, MARGIN + TITLE_SIZE * 0.8), TITLE_SIZE).bold());
}

/// Width left of a panel for the tick labels and the label of its y axis.
pub(crate) fn left_space(labels: &[String]) -> f64 {
    widest(labels, TICK_LABEL_SIZE) + TICK_LENGTH + 6.0 + LABEL_SIZE + 10.0
}

/// Width of the widest of some texts.
pub(crate) fn widest(labels: &[String], size: f64) -> f64 {
    labels
        .iter()
        .map(|label| text_width(label, size, Weight::Regular))
        .fold(0.0, f64::max)
}

impl Panel {
    /// A panel under the title, at least as high as the legend beside it.
    pub(super) fn new(
        options: &Options,
        left: f64,
        (width, height): (f64, f64),
        x: (f64, f64),
        y_ticks: &Ticks,
        legend: &Legend,
    ) -> Self {
        let top = MARGIN + title_height(&options.title);
        Self {
            left,
            top,
            right: left + width,
            bottom: top + height.max(legend.height()),
            x,
            y: (y_ticks.low(), y_ticks.high()),
        }
    }

    /// Position of a pair of values; values beyond the edges lie outside the panel.
    pub(crate) fn place(&self, x: f64, y: f64) -> Point {
        (self.place_x(x), self.place_y(y))
    }

    pub(crate) fn place_x(&self, x: f64) -> f64 {
        let (low, high) = self.x;
        self.left + (x - low) / (high - low) * (self.right - self.left)
    }

    pub(crate) fn place_y(&self, y: f64) -> f64 {
        let (low, high) = self.y;
        self.bottom - (y - low) / (high - low) * (self.bottom - self.top)
    }

    /// A value of y, moved to the nearest edge if it lies beyond.
    pub(crate) fn clamp_y(&self, y: f64) -> f64 {
        y.clamp(self.y.0, self.y.1)
    }

    /// Draws grid lines, ticks and label of the y axis.
    pub(crate) fn draw_y_axis(&self, scene: &mut Scene, ticks: &Ticks, label: &str) {
        for (value, text) in ticks.values.iter().zip(ticks.labels()) {
            let y = self.place_y(*value);
            scene.line((self.left, y), (self.right, y), grid_stroke());
            scene.line((self.left - TICK_LENGTH, y), (self.left, y), axis_stroke());
            scene.text(
                Text::new(text, (self.left - TICK_LENGTH - 4.0, y), TICK_LABEL_SIZE)
                    .color(FADED_INK)
                    .align(Align::End)
                    .centred_vertically(),
            );
        }
        let x = self.left - left_space(&ticks.labels()) + LABEL_SIZE;
        let middle = (self.top + self.bottom) / 2.0;
        let label = fitting(
            label,
            LABEL_SIZE,
            Weight::Regular,
            self.bottom - self.top + 30.0,
        );
        scene.text(
            Text::new(label, (x, middle), LABEL_SIZE)
                .align(Align::Middle)
                .rotate(-90.0),
        );
    }

    /// Draws grid lines and ticks of a numeric x axis.
    pub(crate) fn draw_x_ticks(&self, scene: &mut Scene, ticks: &Ticks) {
        for (value, text) in ticks.values.iter().zip(ticks.labels()) {
            let x = self.place_x(*value);
            scene.line((x, self.top), (x, self.bottom), grid_stroke());
            scene.line(
                (x, self.bottom),
                (x, self.bottom + TICK_LENGTH),
                axis_stroke(),
            );
            let baseline = self.bottom + TICK_LENGTH + 4.0 + TICK_LABEL_SIZE * 0.8;
            scene.text(
                Text::new(text, (x, baseline), TICK_LABEL_SIZE)
                    .color(FADED_INK)
                    .align(Align::Middle),
            );
        }
    }

    /// Draws the label of the x axis, `below` pixels under the panel.
    pub(crate) fn draw_x_label(&self, scene: &mut Scene, label: &str, below: f64) {
        let middle = (self.left + self.right) / 2.0;
        let label = fitting(
            label,
            LABEL_SIZE,
            Weight::Regular,
            self.right - self.left + 60.0,
        );
        scene
            .text(Text::new(label, (middle, self.bottom + below), LABEL_SIZE).align(Align::Middle));
    }

    /// Draws the lines of the two axes, over the grid.
    pub(crate) fn draw_frame(&self, scene: &mut Scene) {
        scene.polyline(
            vec![
                (self.left, self.top),
                (self.left, self.bottom),
                (self.right, self.bottom),
            ],
            axis_stroke(),
        );
    }

    /// Draws dashed lines where x and y are zero, if that is inside the panel.
    pub(crate) fn draw_zero_lines(&self, scene: &mut Scene) {
        let stroke = Stroke::new(super::paint::AXIS, 1.0).dashed(4.0, 3.0);
        if self.x.0 < 0.0 && 0.0 < self.x.1 {
            let x = self.place_x(0.0);
            scene.line((x, self.top), (x, self.bottom), stroke);
        }
        if self.y.0 < 0.0 && 0.0 < self.y.1 {
            let y = self.place_y(0.0);
            scene.line((self.left, y), (self.right, y), stroke);
        }
    }
}
