//! Writes a scene as an SVG document, which may stand alone or inside an HTML page.

use std::fmt::{self, Write};

use super::paint::{Color, PAPER};
use super::scene::{Align, Fill, Point, Scene, Shape, Stroke, Text};
use super::typeface::{FAMILY, Weight};

/// Writes the scene. Screen readers read out `title`.
pub(crate) fn write_svg(scene: &Scene, title: &str) -> String {
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = write_document(&mut svg, scene, title);
    svg
}

fn write_document(svg: &mut String, scene: &Scene, title: &str) -> fmt::Result {
    let (width, height) = (Number(scene.width), Number(scene.height));
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" style=\"max-width:100%;height:auto\" \
         font-family=\"{FAMILY}\">"
    )?;
    writeln!(svg, "<title>{}</title>", Escaped(title))?;
    writeln!(
        svg,
        "<rect width=\"{width}\" height=\"{height}\" fill=\"{}\"/>",
        Hex(PAPER)
    )?;
    for shape in &scene.shapes {
        match shape {
            Shape::Polygon { points, fill } => {
                writeln!(
                    svg,
                    "<polygon points=\"{}\"{}/>",
                    Points(points),
                    Filled(fill)
                )?;
            }
            Shape::Circle {
                centre,
                radius,
                fill,
            } => writeln!(
                svg,
                "<circle cx=\"{}\" cy=\"{}\" r=\"{}\"{}/>",
                Number(centre.0),
                Number(centre.1),
                Number(*radius),
                Filled(fill)
            )?,
            Shape::Polyline { points, stroke } => writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\"{}/>",
                Points(points),
                Stroked(stroke)
            )?,
            Shape::Text(text) => write_text(svg, text)?,
        }
    }
    svg.write_str("</svg>\n")
}

fn write_text(svg: &mut String, text: &Text) -> fmt::Result {
    let (x, y) = (Number(text.anchor.0), Number(text.anchor.1));
    write!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" fill=\"{}\"",
        Number(text.size),
        Hex(text.color)
    )?;
    match text.align {
        Align::Start => {}
        Align::Middle => svg.write_str(" text-anchor=\"middle\"")?,
        Align::End => svg.write_str(" text-anchor=\"end\"")?,
    }
    if text.weight == Weight::Bold {
        svg.write_str(" font-weight=\"bold\"")?;
    }
    if text.opacity < 1.0 {
        write!(svg, " fill-opacity=\"{}\"", Number(text.opacity))?;
    }
    if text.rotation != 0.0 {
        write!(
            svg,
            " transform=\"rotate({} {x} {y})\"",
            Number(text.rotation)
        )?;
    }
    // SVG would otherwise collapse the spaces of aligned labels.
    writeln!(
        svg,
        " xml:space=\"preserve\">{}</text>",
        Escaped(&text.content)
    )
}

struct Filled<'a>(&'a Fill);

impl fmt::Display for Filled<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, " fill=\"{}\"", Hex(self.0.color))?;
        if self.0.opacity < 1.0 {
            write!(formatter, " fill-opacity=\"{}\"", Number(self.0.opacity))?;
        }
        Ok(())
    }
}

struct Stroked<'a>(&'a Stroke);

impl fmt::Display for Stroked<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stroke = self.0;
        write!(
            formatter,
            " stroke=\"{}\" stroke-width=\"{}\" stroke-linejoin=\"round\"",
            Hex(stroke.color),
            Number(stroke.width)
        )?;
        if stroke.opacity < 1.0 {
            write!(formatter, " stroke-opacity=\"{}\"", Number(stroke.opacity))?;
        }
        if let Some((dash, gap)) = stroke.dash {
            write!(
                formatter,
                " stroke-dasharray=\"{} {}\"",
                Number(dash),
                Number(gap)
            )?;
        }
        Ok(())
    }
}

struct Points<'a>(&'a [Point]);

impl fmt::Display for Points<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (x, y)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(formatter, "{separator}{},{}", Number(*x), Number(*y))?;
        }
        Ok(())
    }
}

/// Writes a number with at most two decimals: a hundredth of a pixel is invisible.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounded = (self.0 * 100.0).round() / 100.0;
        if rounded.is_finite() {
            // Adding zero turns -0 into 0.
            write!(formatter, "{}", rounded + 0.0)
        } else {
            formatter.write_str("0")
        }
    }
}

struct Hex(Color);

impl fmt::Display for Hex {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Color(red, green, blue) = self.0;
        write!(formatter, "#{red:02X}{green:02X}{blue:02X}")
    }
}

/// Writes text with markup characters escaped and characters that XML forbids replaced.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '<' => formatter.write_str("&lt;"),
            '>' => formatter.write_str("&gt;"),
            '&' => formatter.write_str("&amp;"),
            '"' => formatter.write_str("&quot;"),
            '\'' => formatter.write_str("&#39;"),
            '\u{FFFE}' | '\u{FFFF}' => formatter.write_char('\u{FFFD}'),
            character if character.is_control() => formatter.write_char(' '),
            character => formatter.write_char(character),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_never_markup() {
        let mut scene = Scene::new(100.0, 50.0);
        scene.text(Text::new(
            "<script>alert('1')</script>&\u{0}",
            (1.0, 2.0),
            10.0,
        ));
        let svg = write_svg(&scene, "\"></svg><script>");
        assert!(!svg.contains("<script"));
        assert!(svg.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp; </text>"));
    }

    #[test]
    fn coordinates_that_are_not_finite_leave_a_valid_document() {
        let mut scene = Scene::new(100.0, 50.0);
        scene.line(
            (f64::NAN, f64::INFINITY),
            (1.0, 2.345),
            Stroke::new(PAPER, 1.0),
        );
        let svg = write_svg(&scene, "");
        assert!(svg.contains("points=\"0,0 1,2.35\"") || svg.contains("points=\"0,0 1,2.34\""));
    }
}
