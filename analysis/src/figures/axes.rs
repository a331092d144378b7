//! The rectangle that holds the data of a figure, with its title, marks and grid.

use super::numerals::Marks;
use super::paint::{FADED_INK, axis_stroke, grid_stroke};
use super::scene::{Align, Point, Scene, Stroke, Text};
use super::typeface::{Weight, fitting, text_width};

/// Em size of the marks of an axis.
pub(crate) const MARK_SIZE: f64 = 11.0;
/// Em size of the name of an axis.
pub(crate) const LABEL_SIZE: f64 = 12.0;
/// Em size of the title.
pub(crate) const TITLE_SIZE: f64 = 14.0;
/// Free space around a figure.
pub(crate) const MARGIN: f64 = 14.0;
/// For the sake of a longer title no figure is made wider.
const LONGEST_TITLE: f64 = 720.0;

const TICK: f64 = 4.0;

/// Where the data go. `x` and `y` are the values at the edges.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
    pub(crate) x: (f64, f64),
    pub(crate) y: (f64, f64),
}

/// Height that a title takes at the top of a figure, and nothing where there is none.
pub(crate) fn title_height(title: &str) -> f64 {
    if title.is_empty() {
        0.0
    } else {
        TITLE_SIZE + 12.0
    }
}

/// The width of a figure whose parts need `width`: that of its title too, up to a line's length.
pub(crate) fn width_with_title(width: f64, title: &str) -> f64 {
    let title = text_width(title, TITLE_SIZE, Weight::Bold) + 2.0 * MARGIN;
    width.max(title.min(LONGEST_TITLE)).ceil()
}

/// Writes the title at the top left of the scene.
pub(crate) fn draw_title(scene: &mut Scene, title: &str) {
    if title.is_empty() {
        return;
    }
    let width = scene.width - 2.0 * MARGIN;
    let content = fitting(title, TITLE_SIZE, Weight::Bold, width);
    scene.text(Text::new(content, (MARGIN, MARGIN + TITLE_SIZE * 0.8), TITLE_SIZE).bold());
}

/// Space to the left of a panel for the numbers and the name of its y axis.
pub(crate) fn left_space(labels: &[String]) -> f64 {
    widest(labels, MARK_SIZE) + TICK + 6.0 + LABEL_SIZE + 10.0
}

/// Space below a panel for horizontal marks and the name of its x axis.
pub(crate) const BOTTOM_SPACE: f64 = TICK + 4.0 + MARK_SIZE + 8.0 + LABEL_SIZE + 2.0;

/// Width of the widest text.
pub(crate) fn widest(labels: &[String], size: f64) -> f64 {
    labels
        .iter()
        .map(|label| text_width(label, size, Weight::Regular))
        .fold(0.0, f64::max)
}

impl Panel {
    /// Place of a pair of values; values beyond the edges lie beyond the panel.
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

    /// A value of y moved to the nearest edge if it lies beyond.
    pub(crate) fn clamp_y(&self, y: f64) -> f64 {
        y.clamp(self.y.0, self.y.1)
    }

    /// Grid lines, marks and name of the y axis.
    pub(crate) fn draw_y_axis(&self, scene: &mut Scene, marks: &Marks, name: &str) {
        for (value, label) in marks.values.iter().zip(marks.labels()) {
            let y = self.place_y(*value);
            scene.line((self.left, y), (self.right, y), grid_stroke());
            scene.line((self.left - TICK, y), (self.left, y), axis_stroke());
            scene.text(
                Text::new(label, (self.left - TICK - 4.0, y), MARK_SIZE)
                    .color(FADED_INK)
                    .align(Align::End)
                    .centred_vertically(),
            );
        }
        let x = self.left - left_space(&marks.labels()) + LABEL_SIZE;
        let middle = (self.top + self.bottom) / 2.0;
        let name = fitting(
            name,
            LABEL_SIZE,
            Weight::Regular,
            self.bottom - self.top + 30.0,
        );
        scene.text(
            Text::new(name, (x, middle), LABEL_SIZE)
                .align(Align::Middle)
                .rotate(-90.0),
        );
    }

    /// Grid lines and marks of a numeric x axis.
    pub(crate) fn draw_x_marks(&self, scene: &mut Scene, marks: &Marks) {
        for (value, label) in marks.values.iter().zip(marks.labels()) {
            let x = self.place_x(*value);
            scene.line((x, self.top), (x, self.bottom), grid_stroke());
            scene.line((x, self.bottom), (x, self.bottom + TICK), axis_stroke());
            let baseline = self.bottom + TICK + 4.0 + MARK_SIZE * 0.8;
            scene.text(
                Text::new(label, (x, baseline), MARK_SIZE)
                    .color(FADED_INK)
                    .align(Align::Middle),
            );
        }
    }

    /// Name of the x axis, `below` pixels under the panel.
    pub(crate) fn draw_x_name(&self, scene: &mut Scene, name: &str, below: f64) {
        let middle = (self.left + self.right) / 2.0;
        let name = fitting(
            name,
            LABEL_SIZE,
            Weight::Regular,
            self.right - self.left + 60.0,
        );
        scene.text(Text::new(name, (middle, self.bottom + below), LABEL_SIZE).align(Align::Middle));
    }

    /// The lines of the two axes, over the grid.
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

    /// Dashed lines where x and y are zero, inside the panel.
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
