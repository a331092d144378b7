//! A figure before it is SVG or PNG: shapes in CSS pixels, with y pointing down, painted in order.

use super::paint::Color;
use super::typeface::Weight;

/// A point in CSS pixels.
pub(crate) type Point = (f64, f64);

/// Shapes on a white background.
#[derive(Clone, Debug)]
pub(crate) struct Scene {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(crate) shapes: Vec<Shape>,
}

/// One shape.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    /// A filled polygon, closed by itself.
    Polygon { points: Vec<Point>, fill: Fill },
    /// A filled circle.
    Circle {
        centre: Point,
        radius: f64,
        fill: Fill,
    },
    /// An open line through points.
    Polyline { points: Vec<Point>, stroke: Stroke },
    /// One line of text.
    Text(Text),
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Fill {
    pub(crate) color: Color,
    /// From 0 (transparent) to 1 (opaque).
    pub(crate) opacity: f64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Stroke {
    pub(crate) color: Color,
    pub(crate) opacity: f64,
    pub(crate) width: f64,
    /// Lengths of dash and gap; none for a solid line.
    pub(crate) dash: Option<(f64, f64)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Text {
    pub(crate) content: String,
    /// The point on the baseline at which `align` places the text.
    pub(crate) anchor: Point,
    /// Em size.
    pub(crate) size: f64,
    pub(crate) weight: Weight,
    pub(crate) color: Color,
    pub(crate) opacity: f64,
    pub(crate) align: Align,
    /// Rotation about the anchor in degrees, clockwise.
    pub(crate) rotation: f64,
}

/// The part of a text that is at its anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Start,
    Middle,
    End,
}

impl Scene {
    pub(crate) fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            shapes: Vec::new(),
        }
    }

    pub(crate) fn rectangle(&mut self, (left, top): Point, (right, bottom): Point, fill: Fill) {
        self.polygon(
            vec![(left, top), (right, top), (right, bottom), (left, bottom)],
            fill,
        );
    }

    pub(crate) fn polygon(&mut self, points: Vec<Point>, fill: Fill) {
        self.shapes.push(Shape::Polygon { points, fill });
    }

    pub(crate) fn circle(&mut self, centre: Point, radius: f64, fill: Fill) {
        self.shapes.push(Shape::Circle {
            centre,
            radius,
            fill,
        });
    }

    pub(crate) fn line(&mut self, from: Point, to: Point, stroke: Stroke) {
        self.polyline(vec![from, to], stroke);
    }

    pub(crate) fn polyline(&mut self, points: Vec<Point>, stroke: Stroke) {
        self.shapes.push(Shape::Polyline { points, stroke });
    }

    pub(crate) fn text(&mut self, text: Text) {
        self.shapes.push(Shape::Text(text));
    }
}

impl Fill {
    pub(crate) fn solid(color: Color) -> Self {
        Self {
            color,
            opacity: 1.0,
        }
    }
}

impl Stroke {
    pub(crate) fn new(color: Color, width: f64) -> Self {
        Self {
            color,
            opacity: 1.0,
            width,
            dash: None,
        }
    }

    pub(crate) fn dashed(self, dash: f64, gap: f64) -> Self {
        Self {
            dash: Some((dash, gap)),
            ..self
        }
    }
}

impl Text {
    /// Regular dark text that starts at the anchor.
    pub(crate) fn new(content: impl Into<String>, anchor: Point, size: f64) -> Self {
        Self {
            content: content.into(),
            anchor,
            size,
            weight: Weight::Regular,
            color: super::paint::INK,
            opacity: 1.0,
            align: Align::Start,
            rotation: 0.0,
        }
    }

    pub(crate) fn bold(self) -> Self {
        Self {
            weight: Weight::Bold,
            ..self
        }
    }

    pub(crate) fn color(self, color: Color) -> Self {
        Self { color, ..self }
    }

    pub(crate) fn align(self, align: Align) -> Self {
        Self { align, ..self }
    }

    pub(crate) fn rotate(self, rotation: f64) -> Self {
        Self { rotation, ..self }
    }

    /// Moves the baseline so that capitals and digits are centred on the anchor, vertically before
    /// rotation.
    pub(crate) fn centred_vertically(mut self) -> Self {
        let drop = super::typeface::CAPITAL_HEIGHT * self.size / 2.0;
        let (sine, cosine) = self.rotation.to_radians().sin_cos();
        self.anchor.0 -= drop * sine;
        self.anchor.1 += drop * cosine;
        self
    }
}
