//! The typeface of figures, DejaVu Sans: text widths for layout, and outlines for painting.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, OutlineCurve};

use super::scene::{Align, Point, Text};

/// Fonts that a viewer of the SVG tries in order. Verdana has the widths of DejaVu Sans and most other
/// fonts are narrower, so texts fit into a layout that was measured with DejaVu Sans.
pub(crate) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// Height of capitals and digits, as a share of the em size.
pub(crate) const CAPITAL_HEIGHT: f64 = 0.729;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Regular,
    Bold,
}

static REGULAR: LazyLock<FontRef<'static>> = LazyLock::new(|| embedded(dejavu::sans::regular()));
static BOLD: LazyLock<FontRef<'static>> = LazyLock::new(|| embedded(dejavu::sans::bold()));

#[expect(
    clippy::expect_used,
    reason = "the bytes are those of the dejavu crate, which the tests parse"
)]
fn embedded(bytes: &'static [u8]) -> FontRef<'static> {
    FontRef::try_from_slice(bytes).expect("DejaVu Sans is a valid font")
}

/// The width of a text in pixels at em size `size`.
pub(crate) fn text_width(content: &str, size: f64, weight: Weight) -> f64 {
    let mut width = 0.0;
    lay_out(content, weight, |_, advance| width = advance);
    width * size
}

/// The outline of a text in scene coordinates, aligned and rotated.
pub(crate) fn outline(text: &Text) -> Vec<Curve> {
    let font = font(text.weight);
    let em = f64::from(font.units_per_em().unwrap_or(1.0));
    let width = text_width(&text.content, text.size, text.weight);
    let start = match text.align {
        Align::Start => 0.0,
        Align::Middle => -width / 2.0,
        Align::End => -width,
    };
    let (sine, cosine) = text.rotation.to_radians().sin_cos();
    let mut curves = Vec::new();
    let mut pen = 0.0;
    lay_out(&text.content, text.weight, |glyph, end| {
        let place = |point: ab_glyph::Point| -> Point {
            let x = start + pen * text.size + f64::from(point.x) / em * text.size;
            let y = -f64::from(point.y) / em * text.size;
            (
                text.anchor.0 + x * cosine - y * sine,
                text.anchor.1 + x * sine + y * cosine,
            )
        };
        for curve in font
            .outline(glyph)
            .into_iter()
            .flat_map(|outline| outline.curves)
        {
            curves.push(match curve {
                OutlineCurve::Line(a, b) => Curve::Line(place(a), place(b)),
                OutlineCurve::Quad(a, b, c) => Curve::Quadratic(place(a), place(b), place(c)),
                OutlineCurve::Cubic(a, b, c, d) => {
                    Curve::Cubic(place(a), place(b), place(c), place(d))
                }
            });
        }
        pen = end;
    });
    curves
}

/// A piece of an outline.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Curve {
    Line(Point, Point),
    Quadratic(Point, Point, Point),
    Cubic(Point, Point, Point, Point),
}

/// Calls `visit` with each glyph and the pen position after it, in ems from the start.
fn lay_out(content: &str, weight: Weight, mut visit: impl FnMut(GlyphId, f64)) {
    let font = font(weight);
    let em = f64::from(font.units_per_em().unwrap_or(1.0));
    let mut pen = 0.0;
    for character in content.chars() {
        let glyph = font.glyph_id(character);
        pen += f64::from(font.h_advance_unscaled(glyph)) / em;
        visit(glyph, pen);
    }
}

fn font(weight: Weight) -> &'static FontRef<'static> {
    match weight {
        Weight::Regular => &REGULAR,
        Weight::Bold => &BOLD,
    }
}

/// A text as a label: on one line, without control characters, cut with an ellipsis after `limit`
/// characters. The text may have been written by a model.
pub(crate) fn label(content: &str, limit: usize) -> String {
    let mut characters = content.chars().map(|character| {
        if character.is_control() || is_direction_mark(character) {
            ' '
        } else {
            character
        }
    });
    let mut label: String = characters.by_ref().take(limit).collect();
    if characters.next().is_some() {
        label.pop();
        label.push('…');
    }
    label
}

/// The longest beginning of a label that fits into `width`, with an ellipsis if it was cut.
pub(crate) fn fitting(content: &str, size: f64, weight: Weight, width: f64) -> String {
    let full = label(content, 200);
    if text_width(&full, size, weight) <= width {
        return full;
    }
    let mut kept: Vec<char> = full.chars().collect();
    while kept.pop().is_some() {
        let cut: String = kept.iter().chain(&['…']).collect();
        if text_width(&cut, size, weight) <= width {
            return cut;
        }
    }
    String::new()
}

/// Whether a character changes the direction of the text around it.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_one_width_and_bold_is_wider() {
        let width = |text: &str| text_width(text, 10.0, Weight::Regular);
        assert_eq!(width("1111"), width("8888"));
        // DejaVu Sans digits advance 1303 of 2048 units.
        assert!((width("0") - 13030.0 / 2048.0).abs() < 1e-6);
        assert!(text_width("gap", 10.0, Weight::Bold) > width("gap"));
    }

    #[test]
    fn labels_are_one_bounded_line() {
        assert_eq!(label("qwen4b", 10), "qwen4b");
        assert_eq!(label("a\nb\u{202E}c", 10), "a b c");
        assert_eq!(label("0123456789", 10), "0123456789");
        assert_eq!(label("0123456789x", 10), "012345678…");
    }
}
