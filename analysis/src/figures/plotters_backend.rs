//! A plotters backend that draws on a scene, so that a researcher's own chart becomes a [`Figure`] with
//! the same text in SVG and PNG.
//!
//! The bitmap text of plotters (0.3, feature `ab_glyph`) drops the side bearings of glyphs and has
//! another baseline than its SVG text.
//!
//! [`Figure`]: super::Figure

use std::convert::Infallible;
use std::sync::Once;

use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::style::{FontStyle, register_font};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform,
};

use super::paint::Color;
use super::scene::{Align, Fill, Point, Scene, Stroke, Text};
use super::typeface::{CAPITAL_HEIGHT, Weight};

/// Ratio of the font size of plotters to the em size, taken from its SVG backend.
const FONT_SIZE_PER_EM: f64 = 1.24;

/// The drawing area that [`Figure::with_plotters`](super::Figure::with_plotters) passes to its caller.
pub type PlottersArea<'scene> = DrawingArea<SceneBackend<'scene>, Shift>;

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// Registers the font families `sans-serif` (regular, bold, italic) and `monospace` with plotters, which
/// has no fonts of its own with its feature `ab_glyph`. Later calls do nothing.
pub fn register_plotters_fonts() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        for (family, style, bytes) in [
            ("sans-serif", FontStyle::Normal, dejavu::sans::regular()),
            ("sans-serif", FontStyle::Bold, dejavu::sans::bold()),
            ("sans-serif", FontStyle::Italic, dejavu::sans::oblique()),
            ("sans-serif", FontStyle::Oblique, dejavu::sans::oblique()),
            ("monospace", FontStyle::Normal, dejavu::sans_mono::regular()),
        ] {
            // The bytes are valid fonts. If they were not, drawing text would report the missing family.
            let _ = register_font(family, style, bytes);
        }
    });
}

/// The plotters backend of a [`Figure`](super::Figure).
pub struct SceneBackend<'scene> {
    scene: &'scene mut Scene,
}

impl<'scene> SceneBackend<'scene> {
    pub(crate) fn new(scene: &'scene mut Scene) -> Self {
        Self { scene }
    }
}

impl DrawingBackend for SceneBackend<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        (self.scene.width as u32, self.scene.height as u32)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, at: BackendCoord, color: BackendColor) -> Drawn {
        let (x, y) = place(at);
        self.scene
            .rectangle((x, y), (x + 1.0, y + 1.0), fill(color));
        Ok(())
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.scene.line(place(from), place(to), stroke(style));
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        filled: bool,
    ) -> Drawn {
        let ((left, top), (right, bottom)) = (place(upper_left), place(bottom_right));
        if filled {
            self.scene
                .rectangle((left, top), (right, bottom), fill(style.color()));
        } else {
            let corners = [
                (left, top),
                (right, top),
                (right, bottom),
                (left, bottom),
                (left, top),
            ];
            self.scene.polyline(corners.to_vec(), stroke(style));
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        self.scene
            .polyline(path.into_iter().map(place).collect(), stroke(style));
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        centre: BackendCoord,
        radius: u32,
        style: &S,
        filled: bool,
    ) -> Drawn {
        let (x, y) = place(centre);
        let radius = f64::from(radius);
        if filled {
            self.scene.circle((x, y), radius, fill(style.color()));
        } else {
            let rim = (0..=48).map(|step| {
                let (sine, cosine) = (f64::from(step) / 48.0 * std::f64::consts::TAU).sin_cos();
                (x + radius * cosine, y + radius * sine)
            });
            self.scene.polyline(rim.collect(), stroke(style));
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> Drawn {
        self.scene.polygon(
            corners.into_iter().map(place).collect(),
            fill(style.color()),
        );
        Ok(())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        content: &str,
        style: &S,
        at: BackendCoord,
    ) -> Drawn {
        let size = style.size() / FONT_SIZE_PER_EM;
        let rotation: f64 = match style.transform() {
            FontTransform::None => 0.0,
            FontTransform::Rotate90 => 90.0,
            FontTransform::Rotate180 => 180.0,
            FontTransform::Rotate270 => 270.0,
        };
        let drop = size
            * match style.anchor().v_pos {
                VPos::Top => CAPITAL_HEIGHT,
                VPos::Center => CAPITAL_HEIGHT / 2.0,
                VPos::Bottom => -0.24,
            };
        let (sine, cosine) = rotation.to_radians().sin_cos();
        let (x, y) = place(at);
        let color = style.color();
        self.scene.text(Text {
            weight: match style.style() {
                FontStyle::Bold => Weight::Bold,
                _ => Weight::Regular,
            },
            color: rgb(color),
            opacity: color.alpha,
            align: match style.anchor().h_pos {
                HPos::Left => Align::Start,
                HPos::Center => Align::Middle,
                HPos::Right => Align::End,
            },
            rotation,
            ..Text::new(content, (x - drop * sine, y + drop * cosine), size)
        });
        Ok(())
    }
}

fn place((x, y): BackendCoord) -> Point {
    (f64::from(x), f64::from(y))
}

fn rgb(color: BackendColor) -> Color {
    let (red, green, blue) = color.rgb;
    Color(red, green, blue)
}

fn fill(color: BackendColor) -> Fill {
    Fill {
        color: rgb(color),
        opacity: color.alpha,
    }
}

fn stroke<S: BackendStyle>(style: &S) -> Stroke {
    Stroke {
        opacity: style.color().alpha,
        ..Stroke::new(rgb(style.color()), f64::from(style.stroke_width()))
    }
}
