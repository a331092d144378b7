//! Paints a scene as a PNG image: each shape becomes an outline, whose exact coverage of every pixel is
//! blended onto white.

use ab_glyph_rasterizer::{Rasterizer, point};

use super::figure::FigureError;
use super::paint::{Color, PAPER};
use super::scene::{Point, Scene, Shape, Stroke};
use super::typeface::{self, Curve};

/// Pixels of the image per CSS pixel of the scene, so that it is sharp on dense screens and in print.
pub(crate) const PIXELS_PER_UNIT: f64 = 2.0;

/// Paints a scene and encodes it.
pub(crate) fn write_png(scene: &Scene) -> Result<Vec<u8>, FigureError> {
    let mut canvas = Canvas::new(scene);
    for shape in &scene.shapes {
        match shape {
            Shape::Polygon { points, fill } => {
                canvas.fill(&closed(points), fill.color, fill.opacity);
            }
            Shape::Circle {
                centre,
                radius,
                fill,
            } => canvas.fill(&circle(*centre, *radius), fill.color, fill.opacity),
            Shape::Polyline { points, stroke } => {
                canvas.fill(
                    &stroke_outline(points, stroke),
                    stroke.color,
                    stroke.opacity,
                );
            }
            Shape::Text(text) => canvas.fill(&typeface::outline(text), text.color, text.opacity),
        }
    }
    canvas.encode()
}

struct Canvas {
    width: usize,
    height: usize,
    /// Red, green and blue of each pixel, row by row.
    pixels: Vec<u8>,
}

impl Canvas {
    fn new(scene: &Scene) -> Self {
        let width = (scene.width * PIXELS_PER_UNIT).ceil() as usize;
        let height = (scene.height * PIXELS_PER_UNIT).ceil() as usize;
        let paper = [PAPER.0, PAPER.1, PAPER.2];
        Self {
            width,
            height,
            pixels: paper.repeat(width * height),
        }
    }

    fn fill(&mut self, outline: &[Curve], color: Color, opacity: f64) {
        let segments = flatten(outline);
        let Some((left, top, width, height)) = self.cover(&segments) else {
            return;
        };
        let mut coverage = Rasterizer::new(width, height);
        let (right, bottom) = (width as f64, height as f64);
        for (from, to) in segments {
            let local = |(x, y): Point| (x - left as f64, y - top as f64);
            clip(
                local(from),
                local(to),
                right,
                bottom,
                |(ax, ay), (bx, by)| {
                    coverage.draw_line(point(ax as f32, ay as f32), point(bx as f32, by as f32));
                },
            );
        }
        coverage.for_each_pixel_2d(|x, y, share| {
            // Overlapping pieces of an outline add up to more than 1.
            let alpha = f64::from(share.clamp(0.0, 1.0)) * opacity;
            if alpha > 0.0 {
                let start = ((top + y as usize) * self.width + left + x as usize) * 3;
                for (pixel, ink) in self.pixels[start..start + 3]
                    .iter_mut()
                    .zip([color.0, color.1, color.2])
                {
                    let under = f64::from(*pixel);
                    *pixel = (under + alpha * (f64::from(ink) - under)).round() as u8;
                }
            }
        });
    }

    /// The part of the canvas that the segments may touch: left, top, width, height.
    fn cover(&self, segments: &[(Point, Point)]) -> Option<(usize, usize, usize, usize)> {
        let points = || segments.iter().flat_map(|(from, to)| [from, to]);
        let range = |pick: fn(&Point) -> f64, end: usize| {
            let low = points().map(pick).fold(f64::INFINITY, f64::min);
            let high = points().map(pick).fold(f64::NEG_INFINITY, f64::max);
            // Casts saturate, so coordinates far outside end at the border.
            let low = (low.floor().max(0.0) as usize).min(end);
            let high = (high.ceil().max(0.0) as usize).min(end);
            (low < high).then(|| (low, high - low))
        };
        let (left, width) = range(|(x, _)| *x, self.width)?;
        let (top, height) = range(|(_, y)| *y, self.height)?;
        Some((left, top, width, height))
    }

    fn encode(&self) -> Result<Vec<u8>, FigureError> {
        let mut bytes = Vec::new();
        let size = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let mut encoder = png::Encoder::new(&mut bytes, size(self.width), size(self.height));
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        // Without a filter, areas of one colour compress best.
        encoder.set_filter(png::FilterType::NoFilter);
        encoder.set_compression(png::Compression::Best);
        // 192 dots per inch: programs that honour it show the image at the size of the SVG.
        let per_metre = (96.0 * PIXELS_PER_UNIT / 0.0254).round() as u32;
        encoder.set_pixel_dims(Some(png::PixelDimensions {
            xppu: per_metre,
            yppu: per_metre,
            unit: png::Unit::Meter,
        }));
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.pixels)?;
        writer.finish()?;
        Ok(bytes)
    }
}

/// The outline of a polygon.
fn closed(points: &[Point]) -> Vec<Curve> {
    let next = points.iter().cycle().skip(1);
    points
        .iter()
        .zip(next)
        .map(|(from, to)| Curve::Line(*from, *to))
        .collect()
}

fn circle((x, y): Point, radius: f64) -> Vec<Curve> {
    // Four Bezier arcs; the constant keeps them within 0.03% of the circle.
    const HANDLE: f64 = 0.552_284_75;
    let at = |dx: f64, dy: f64| (x + dx * radius, y + dy * radius);
    [(1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0)]
        .into_iter()
        .map(|(c, s): (f64, f64)| {
            Curve::Cubic(
                at(c, s),
                at(c - HANDLE * s, s + HANDLE * c),
                at(HANDLE * c - s, HANDLE * s + c),
                at(-s, c),
            )
        })
        .collect()
}

/// The outline of a stroked line: a box per dash of each segment, and discs that round the joins. All
/// pieces have the same orientation, so that their coverage adds up where they overlap instead of
/// cancelling.
fn stroke_outline(points: &[Point], stroke: &Stroke) -> Vec<Curve> {
    let half = stroke.width / 2.0;
    let mut outline = Vec::new();
    // The dash pattern continues through corners.
    let mut travelled = 0.0;
    for (index, pair) in points.windows(2).enumerate() {
        let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
        let length = (bx - ax).hypot(by - ay);
        if !length.is_finite() || length == 0.0 {
            continue;
        }
        let (ux, uy) = ((bx - ax) / length, (by - ay) / length);
        let along = |distance: f64, side: f64| {
            (
                ax + ux * distance - uy * half * side,
                ay + uy * distance + ux * half * side,
            )
        };
        for (from, to) in dashes(length, travelled, stroke.dash) {
            outline.extend(closed(&[
                along(from, -1.0),
                along(to, -1.0),
                along(to, 1.0),
                along(from, 1.0),
            ]));
        }
        travelled += length;
        if stroke.dash.is_none() && index > 0 {
            outline.extend(circle((ax, ay), half));
        }
    }
    outline
}

/// The drawn parts of a segment, as distances from its start.
fn dashes(length: f64, travelled: f64, pattern: Option<(f64, f64)>) -> Vec<(f64, f64)> {
    let Some((dash, gap)) = pattern.filter(|(dash, gap)| *dash > 0.0 && *gap > 0.0) else {
        return vec![(0.0, length)];
    };
    let period = dash + gap;
    let mut parts = Vec::new();
    let mut start = -(travelled % period);
    while start < length {
        let (from, to) = (start.max(0.0), (start + dash).min(length));
        if from < to {
            parts.push((from, to));
        }
        start += period;
    }
    parts
}

/// Converts curves to line segments in pixels of the image; drops those that are not finite.
fn flatten(outline: &[Curve]) -> Vec<(Point, Point)> {
    let scaled = |(x, y): Point| (x * PIXELS_PER_UNIT, y * PIXELS_PER_UNIT);
    let mut segments = Vec::with_capacity(outline.len());
    for curve in outline {
        match *curve {
            Curve::Line(a, b) => segments.push((scaled(a), scaled(b))),
            Curve::Quadratic(a, b, c) => {
                sample(8, &mut segments, |t| {
                    let s = 1.0 - t;
                    let blend = |a: f64, b: f64, c: f64| s * s * a + 2.0 * s * t * b + t * t * c;
                    scaled((blend(a.0, b.0, c.0), blend(a.1, b.1, c.1)))
                });
            }
            Curve::Cubic(a, b, c, d) => sample(12, &mut segments, |t| {
                let s = 1.0 - t;
                let blend = |a: f64, b: f64, c: f64, d: f64| {
                    s * s * s * a + 3.0 * s * s * t * b + 3.0 * s * t * t * c + t * t * t * d
                };
                scaled((blend(a.0, b.0, c.0, d.0), blend(a.1, b.1, c.1, d.1)))
            }),
        }
    }
    segments.retain(|((ax, ay), (bx, by))| [ax, ay, bx, by].iter().all(|v| v.is_finite()));
    segments
}

fn sample(steps: u32, segments: &mut Vec<(Point, Point)>, at: impl Fn(f64) -> Point) {
    let mut from = at(0.0);
    for step in 1..=steps {
        let to = at(f64::from(step) / f64::from(steps));
        segments.push((from, to));
        from = to;
    }
}

/// Clips a segment of an outline to `0..=right` by `0..=bottom`, because the rasterizer does not check
/// bounds. Parts above or below cover no row inside and are dropped; parts to the left or right are
/// moved to that border, where they still count for the rows that they cross.
fn clip(from: Point, to: Point, right: f64, bottom: f64, mut draw: impl FnMut(Point, Point)) {
    let Some((from, to)) = cut_rows(from, to, bottom) else {
        return;
    };
    // Splits the segment where it crosses a side, then clamps each piece.
    let mut stops = vec![0.0, 1.0];
    let run = to.0 - from.0;
    if run != 0.0 {
        for side in [0.0, right] {
            let t = (side - from.0) / run;
            if t > 0.0 && t < 1.0 {
                stops.push(t);
            }
        }
    }
    stops.sort_by(f64::total_cmp);
    let at = |t: f64| {
        (
            (from.0 + t * run).clamp(0.0, right),
            (from.1 + t * (to.1 - from.1)).clamp(0.0, bottom),
        )
    };
    for pair in stops.windows(2) {
        draw(at(pair[0]), at(pair[1]));
    }
}

/// The part of a segment between rows 0 and `bottom`, if any.
fn cut_rows(from: Point, to: Point, bottom: f64) -> Option<(Point, Point)> {
    let rise = to.1 - from.1;
    if rise == 0.0 {
        return None;
    }
    let (enter, leave) = if rise > 0.0 {
        (-from.1 / rise, (bottom - from.1) / rise)
    } else {
        ((bottom - from.1) / rise, -from.1 / rise)
    };
    let (enter, leave) = (enter.max(0.0), leave.min(1.0));
    let at = |t: f64| (from.0 + t * (to.0 - from.0), from.1 + t * rise);
    (enter < leave).then(|| (at(enter), at(leave)))
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Fill, Text};
    use super::*;

    const BLACK: Color = Color(0, 0, 0);

    fn pixels(scene: &Scene) -> (u32, u32, Vec<u8>) {
        let bytes = write_png(scene).unwrap();
        let mut reader = png::Decoder::new(bytes.as_slice()).read_info().unwrap();
        let mut buffer = vec![0; reader.output_buffer_size()];
        let info = reader.next_frame(&mut buffer).unwrap();
        (info.width, info.height, buffer)
    }

    fn ink(scene: &Scene) -> f64 {
        let (_, _, buffer) = pixels(scene);
        buffer
            .chunks(3)
            .map(|pixel| 1.0 - f64::from(pixel[0]) / 255.0)
            .sum()
    }

    #[test]
    fn areas_are_exact() {
        let solid = Fill::solid(BLACK);
        let mut scene = Scene::new(40.0, 30.0);
        scene.rectangle((3.25, 4.0), (13.5, 9.75), solid);
        assert!((ink(&scene) - 10.25 * 5.75 * 4.0).abs() < 0.5);

        let mut scene = Scene::new(40.0, 30.0);
        scene.circle((20.0, 15.0), 10.0, solid);
        let expected = std::f64::consts::PI * 100.0 * 4.0;
        assert!((ink(&scene) / expected - 1.0).abs() < 0.01);

        let mut scene = Scene::new(40.0, 30.0);
        scene.line(
            (5.0, 15.0),
            (35.0, 15.0),
            Stroke::new(BLACK, 2.0).dashed(4.0, 2.0),
        );
        assert!((ink(&scene) - 20.0 * 2.0 * 4.0).abs() < 0.5);
    }

    #[test]
    fn shapes_beyond_the_border_are_cut_off_there() {
        let mut scene = Scene::new(20.0, 10.0);
        scene.rectangle((-1e12, -1e12), (5.0, 1e12), Fill::solid(BLACK));
        assert!((ink(&scene) - 5.0 * 10.0 * 4.0).abs() < 0.5);
        let mut scene = Scene::new(20.0, 10.0);
        scene.polygon(
            vec![(-20.0, 0.0), (20.0, 0.0), (-20.0, 40.0)],
            Fill::solid(BLACK),
        );
        // Inside the canvas the slanted side runs from (20, 0) to (10, 10).
        assert!((ink(&scene) - 150.0 * 4.0).abs() < 1.0);
        scene.circle((500.0, 500.0), 3.0, Fill::solid(BLACK));
        scene.line((f64::NAN, 1.0), (2.0, 2.0), Stroke::new(BLACK, 1.0));
        assert!((ink(&scene) - 150.0 * 4.0).abs() < 1.0);
    }

    #[test]
    fn a_bent_line_has_no_holes_at_its_corner() {
        let mut scene = Scene::new(40.0, 40.0);
        scene.polyline(
            vec![(5.0, 5.0), (20.0, 30.0), (35.0, 5.0)],
            Stroke::new(BLACK, 4.0),
        );
        let (width, _, buffer) = pixels(&scene);
        let corner = ((60 * width + 40) * 3) as usize;
        assert_eq!(buffer[corner], 0);
    }

    #[test]
    fn text_is_painted_where_it_was_measured() {
        let mut scene = Scene::new(100.0, 40.0);
        scene.text(Text::new("HHHH", (20.0, 30.0), 20.0));
        let (width, _, buffer) = pixels(&scene);
        let dark: Vec<(u32, u32)> = buffer
            .chunks(3)
            .enumerate()
            .filter(|(_, pixel)| pixel[0] < 128)
            .map(|(index, _)| (index as u32 % width, index as u32 / width))
            .collect();
        let bottom = dark.iter().map(|(_, y)| *y).max().unwrap();
        let top = dark.iter().map(|(_, y)| *y).min().unwrap();
        let right = dark.iter().map(|(x, _)| *x).max().unwrap();
        assert_eq!(bottom, 59, "the baseline at 30 units is row 60");
        assert!((f64::from(bottom + 1 - top) / 2.0 - 0.729 * 20.0).abs() <= 1.0);
        let end = 20.0 + typeface::text_width("HHHH", 20.0, typeface::Weight::Regular);
        assert!(f64::from(right) / 2.0 < end && f64::from(right) / 2.0 > end - 3.0);
    }
}
