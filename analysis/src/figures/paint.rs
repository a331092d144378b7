//! Colours and markers that remain distinguishable for colour-blind readers and in grey print.

use super::scene::{Fill, Point, Scene, Stroke};

/// An sRGB colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Color(pub(crate) u8, pub(crate) u8, pub(crate) u8);

pub(crate) const PAPER: Color = Color(255, 255, 255);
const BLACK: Color = Color(0, 0, 0);
pub(crate) const INK: Color = Color(0x22, 0x22, 0x22);
pub(crate) const FADED_INK: Color = Color(0x55, 0x55, 0x55);
pub(crate) const GRID: Color = Color(0xE8, 0xE8, 0xE8);
pub(crate) const AXIS: Color = Color(0x55, 0x55, 0x55);
pub(crate) const MISSING: Color = Color(0xD4, 0xD4, 0xD4);

/// Colours of groups: Okabe and Ito, "Color universal design" (2008), without yellow, which is hard to
/// see on white.
const GROUPS: [Color; 7] = [
    Color(0x00, 0x72, 0xB2),
    Color(0xD5, 0x5E, 0x00),
    Color(0x00, 0x9E, 0x73),
    Color(0xCC, 0x79, 0xA7),
    Color(0x56, 0xB4, 0xE9),
    Color(0xE6, 0x9F, 0x00),
    Color(0x44, 0x44, 0x44),
];

/// Diverging scale from negative to positive: the eleven steps of ColorBrewer's RdBu.
const DIVERGING: [Color; 11] = [
    Color(0x67, 0x00, 0x1F),
    Color(0xB2, 0x18, 0x2B),
    Color(0xD6, 0x60, 0x4D),
    Color(0xF4, 0xA5, 0x82),
    Color(0xFD, 0xDB, 0xC7),
    Color(0xF7, 0xF7, 0xF7),
    Color(0xD1, 0xE5, 0xF0),
    Color(0x92, 0xC5, 0xDE),
    Color(0x43, 0x93, 0xC3),
    Color(0x21, 0x66, 0xAC),
    Color(0x05, 0x30, 0x61),
];

/// Shapes of markers. Pairs of colour and shape repeat only after 42 groups.
const MARKERS: [Marker; 6] = [
    Marker::Circle,
    Marker::Square,
    Marker::Triangle,
    Marker::Diamond,
    Marker::Inverted,
    Marker::Cross,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
    Inverted,
    Cross,
}

/// The colour of the group at `index`.
pub(crate) fn group_color(index: usize) -> Color {
    GROUPS[index % GROUPS.len()]
}

/// The colour of `value` on a diverging scale that is neutral at 0 and saturates at `limit` and
/// `-limit`.
pub(crate) fn diverging(value: f64, limit: f64) -> Color {
    let steps = (DIVERGING.len() - 1) as f64;
    let position = ((value / limit).clamp(-1.0, 1.0) + 1.0) / 2.0 * steps;
    let below = position.floor() as usize;
    let above = (below + 1).min(DIVERGING.len() - 1);
    DIVERGING[below].mix(DIVERGING[above], position - below as f64)
}

/// Draws the marker of the group at `index`, with a white edge so that overlapping points can be
/// counted.
pub(crate) fn draw_marker(scene: &mut Scene, index: usize, centre: Point, radius: f64) {
    let marker = MARKERS[index % MARKERS.len()];
    let edge = Fill::solid(PAPER);
    let fill = Fill {
        color: group_color(index),
        opacity: 0.9,
    };
    for (radius, fill) in [(radius + 1.0, edge), (radius, fill)] {
        match marker.outline(centre, radius) {
            Some(points) => scene.polygon(points, fill),
            None => scene.circle(centre, radius, fill),
        }
    }
}

impl Marker {
    /// The corners of the marker, scaled so that all markers have about the same area; none for the
    /// circle.
    fn outline(self, (x, y): Point, radius: f64) -> Option<Vec<Point>> {
        let corners = |unit: &[Point], scale: f64| {
            unit.iter()
                .map(|(dx, dy)| (x + dx * radius * scale, y + dy * radius * scale))
                .collect()
        };
        const TRIANGLE: [Point; 3] = [(0.0, -1.0), (0.866, 0.5), (-0.866, 0.5)];
        match self {
            Marker::Circle => None,
            Marker::Square => Some(corners(
                &[(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)],
                0.87,
            )),
            Marker::Triangle => Some(corners(&TRIANGLE, 1.35)),
            Marker::Inverted => Some(corners(&TRIANGLE.map(|(dx, dy)| (-dx, -dy)), 1.35)),
            Marker::Diamond => Some(corners(
                &[(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)],
                1.25,
            )),
            Marker::Cross => {
                const ARM: f64 = 0.34;
                Some(corners(
                    &[
                        (-ARM, -1.0),
                        (ARM, -1.0),
                        (ARM, -ARM),
                        (1.0, -ARM),
                        (1.0, ARM),
                        (ARM, ARM),
                        (ARM, 1.0),
                        (-ARM, 1.0),
                        (-ARM, ARM),
                        (-1.0, ARM),
                        (-1.0, -ARM),
                        (-ARM, -ARM),
                    ],
                    1.15,
                ))
            }
        }
    }
}

/// The thin line of an axis.
pub(crate) fn axis_stroke() -> Stroke {
    Stroke::new(AXIS, 1.0)
}

/// The fainter line of a grid.
pub(crate) fn grid_stroke() -> Stroke {
    Stroke::new(GRID, 1.0)
}

impl Color {
    /// Mixes `1 - share` of this colour with `share` of `other`.
    fn mix(self, other: Color, share: f64) -> Color {
        let channel =
            |a: u8, b: u8| (f64::from(a) + share * (f64::from(b) - f64::from(a))).round() as u8;
        Color(
            channel(self.0, other.0),
            channel(self.1, other.1),
            channel(self.2, other.2),
        )
    }

    /// Relative luminance from 0 (black) to 1 (white), as WCAG 2.1 defines it.
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.03928 {
                value / 12.92
            } else {
                ((value + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(self.0) + 0.7152 * linear(self.1) + 0.0722 * linear(self.2)
    }

    /// Black or white, whichever has more contrast to this colour: at least the 4.5 that WCAG demands.
    pub(crate) fn legible_text(self) -> Color {
        let contrast = |text: Color| {
            let (a, b) = (text.luminance() + 0.05, self.luminance() + 0.05);
            (a / b).max(b / a)
        };
        if contrast(BLACK) >= contrast(PAPER) {
            BLACK
        } else {
            PAPER
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_neutral_at_zero_and_saturates_at_the_limit() {
        assert_eq!(diverging(0.0, 0.6), DIVERGING[5]);
        assert_eq!(diverging(-0.6, 0.6), DIVERGING[0]);
        assert_eq!(diverging(-9.0, 0.6), DIVERGING[0]);
        assert_eq!(diverging(0.6, 0.6), DIVERGING[10]);
    }

    #[test]
    fn text_on_any_step_of_the_scale_meets_wcag_contrast() {
        for step in -100..=100 {
            let color = diverging(f64::from(step) / 100.0, 1.0);
            let (a, b) = (
                color.legible_text().luminance() + 0.05,
                color.luminance() + 0.05,
            );
            assert!((a / b).max(b / a) >= 4.5, "{color:?}");
        }
    }
}
