use serde::{Deserialize, Serialize};

use super::{latex, markdown};

/// Bytes at the start of a text that are inspected for style elements.
const MAX_INSPECTED_BYTES: usize = 1 << 20;

/// The style elements that a text uses. Fenced code is ignored: a `# comment` there is no heading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Style {
    /// Mathematics in LaTeX: `$x^2$`, `$$...$$`, `\(...\)`, `\[...\]`, or a command such as
    /// `\frac{`. A price (`$5`) is none.
    pub latex: bool,
    /// A heading: a line of one to six `#`, a space and words. A `#hashtag` is none.
    pub headings: bool,
    /// Words between two `**` or two `__`. `2**3**2` is none.
    pub bold: bool,
    /// A list of at least two lines that begin with `-`, `*`, `+` or `•` and a space.
    pub bullets: bool,
    /// At least two lines that begin with a number and `.` or `)`, or with `Step 2`.
    pub numbered_steps: bool,
    /// Length of the whole text, in Unicode scalar values.
    pub characters: usize,
}

impl Style {
    /// Determines the style of `text`.
    pub fn of(text: &str) -> Self {
        let prose = markdown::without_fenced_code(head(text));
        Self {
            latex: latex::has_latex(&prose),
            headings: prose.lines().any(markdown::is_heading),
            bold: prose.lines().any(markdown::has_bold),
            bullets: prose
                .lines()
                .filter(|line| markdown::is_bullet(line))
                .nth(1)
                .is_some(),
            numbered_steps: prose
                .lines()
                .filter(|line| markdown::is_numbered(line))
                .nth(1)
                .is_some(),
            characters: text.chars().count(),
        }
    }

    /// Whether it uses headings, bold or bullets.
    pub fn markdown(&self) -> bool {
        self.headings || self.bold || self.bullets
    }
}

fn head(text: &str) -> &str {
    let end = text.len().min(MAX_INSPECTED_BYTES);
    let end = (0..=end)
        .rev()
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_prose_has_no_style() {
        let style = Style::of("It costs $5 or $6. C# and #hashtags are fine, 2 * 3 * 4 too.");
        assert_eq!(
            style,
            Style {
                characters: 60,
                ..Style::default()
            }
        );
        assert_eq!(Style::of(""), Style::default());
    }

    #[test]
    fn a_textbook_answer_has_all_of_it() {
        let style = Style::of(
            "## Solution\n\n- **Given:** $a = 3$\n- $b = 4$\n\n1. Add.\n2. Check.\n\n\\[ a + b = 7 \\]",
        );
        assert!(style.latex && style.headings && style.bold);
        assert!(style.bullets && style.numbered_steps && style.markdown());
    }

    #[test]
    fn one_item_is_no_list() {
        let style = Style::of("- well, yes\n\n1. no");
        assert!(!style.bullets && !style.numbered_steps);
    }

    #[test]
    fn code_is_not_prose() {
        let style = Style::of("Run this:\n```python\n# a comment\n**kwargs **more\n```\nDone.");
        assert!(!style.markdown());
        let unclosed = Style::of("```\n# a comment\n- a\n- b");
        assert!(!unclosed.markdown());
    }

    #[test]
    fn length_is_in_characters() {
        assert_eq!(Style::of("größer").characters, 6);
    }
}
