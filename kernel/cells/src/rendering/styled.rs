//! Text with terminal colours.

use std::fmt::{Display, Formatter, Result};
use std::ops::Range;
use std::rc::Rc;

/// A line of text in which every character has its colours (escape sequences `ESC [ ... m`), so that
/// edits count visible characters only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Styled(Vec<(char, Rc<str>)>);

const ESCAPE: &str = "\u{1b}[";
const RESET: &str = "\u{1b}[0m";

impl Styled {
    /// Parses a line with escape sequences.
    pub(super) fn parse(line: &str) -> Self {
        let mut characters = Vec::new();
        let mut style: Rc<str> = Rc::from("");
        let mut rest = line;
        while let Some(first) = rest.chars().next() {
            if let Some((codes, after)) = rest
                .strip_prefix(ESCAPE)
                .and_then(|sequence| sequence.split_once('m'))
                .filter(|(codes, _)| codes.chars().all(|c| c.is_ascii_digit() || c == ';'))
            {
                style = match codes {
                    "" | "0" => Rc::from(""),
                    codes => Rc::from(format!("{style}{ESCAPE}{codes}m")),
                };
                rest = after;
            } else {
                characters.push((first, Rc::clone(&style)));
                rest = &rest[first.len_utf8()..];
            }
        }
        Self(characters)
    }

    /// The visible characters.
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(character, _)| character).collect()
    }

    /// The part from the character `start` on.
    pub(super) fn from(&self, start: usize) -> Self {
        Self(self.0.get(start..).unwrap_or_default().to_vec())
    }

    /// Keeps the first `length` characters.
    pub(super) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// Replaces a range of characters by a text in the style of the first of them.
    pub(super) fn replace(&mut self, range: Range<usize>, text: &str) {
        let range = range.start.min(self.0.len())..range.end.min(self.0.len());
        let style = self.style(range.start);
        let replacement: Vec<_> = text.chars().map(|c| (c, Rc::clone(&style))).collect();
        self.0.splice(range, replacement);
    }

    /// A text in the style of the character `index`.
    pub(super) fn like(&self, index: usize, text: &str) -> Self {
        let style = self.style(index);
        Self(text.chars().map(|c| (c, Rc::clone(&style))).collect())
    }

    fn style(&self, index: usize) -> Rc<str> {
        self.0
            .get(index)
            .map_or_else(|| Rc::from(""), |(_, style)| Rc::clone(style))
    }
}

impl Display for Styled {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> Result {
        let mut current = "";
        for (character, style) in &self.0 {
            if **style != *current {
                if !current.is_empty() {
                    formatter.write_str(RESET)?;
                }
                formatter.write_str(style)?;
                current = style;
            }
            write!(formatter, "{character}")?;
        }
        if !current.is_empty() {
            formatter.write_str(RESET)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_with_their_characters() {
        let mut line = Styled::parse("\u{1b}[1m\u{1b}[94m102\u{1b}[0m | é");
        assert_eq!(line.text(), "102 | é");
        line.replace(0..3, "7");
        assert_eq!(line.to_string(), "\u{1b}[1m\u{1b}[94m7\u{1b}[0m | é");
    }

    proptest::proptest! {
        #[test]
        fn text_without_colours_is_kept_as_it_is(text in "[^\u{1b}]*") {
            proptest::prop_assert_eq!(Styled::parse(&text).to_string(), text);
        }

        #[test]
        fn any_text_can_be_parsed(text in ".*") {
            let line = Styled::parse(&text);
            let again = Styled::parse(&line.to_string());
            proptest::prop_assert_eq!(line.text(), again.text());
        }
    }
}
