use std::ops::Range;

use super::styled::Styled;

/// A line of a rendering: those with a margin are `NUMBER | text` or `       | text`.
#[derive(Debug)]
pub(super) struct Line {
    pub kind: Kind,
    /// What stands behind the margin, from the separator on.
    pub rest: Styled,
    /// The margin as it was, for its colour.
    margin: Styled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line of the generated file.
    Numbered(usize),
    /// Marks and labels under such a line.
    Marks,
    /// `-->` or `:::`.
    Place,
    /// `= note: ...`
    Note,
    /// `...`, where lines are left out.
    Elided,
    /// A headline.
    Plain,
}

impl Line {
    pub fn parse(line: &str) -> Self {
        let margin = Styled::parse(line);
        let text = margin.text();
        // Whatever is skipped below is ASCII: bytes are characters.
        let indentation = text.bytes().take_while(|&byte| byte == b' ').count();
        let digits = text[indentation..]
            .bytes()
            .take_while(u8::is_ascii_digit)
            .count();
        let behind_number = indentation + digits;
        let blanks = text[behind_number..]
            .bytes()
            .take_while(|&byte| byte == b' ')
            .count();
        let start = behind_number + blanks;
        let behind = &text[start..];
        let number = text[indentation..behind_number].parse();
        let (kind, start) = match number {
            Ok(number) if behind.starts_with(['|', '~', '+', '-']) => {
                (Kind::Numbered(number), start)
            }
            _ if text.starts_with("...") => {
                let gap = text[3..].bytes().take_while(|&byte| byte == b' ').count();
                (Kind::Elided, 3 + gap)
            }
            _ if indentation == 0 || digits > 0 => (Kind::Plain, 0),
            _ if behind.starts_with('|') => (Kind::Marks, start),
            _ if behind.starts_with('=') => (Kind::Note, start),
            _ if behind.starts_with("-->") || behind.starts_with(":::") => (Kind::Place, start),
            _ => (Kind::Plain, 0),
        };
        Self {
            kind,
            rest: margin.from(start),
            margin,
        }
    }

    /// The line with this label in a margin of this width.
    pub fn with_margin(&self, label: &str, width: usize) -> String {
        let indentation = " ".repeat(width);
        let rest = &self.rest;
        match self.kind {
            Kind::Numbered(_) => {
                let text = self.margin.text();
                let number = text.bytes().take_while(|&byte| byte == b' ').count();
                let label = self.margin.like(number, &format!("{label:>width$}"));
                format!("{label} {rest}")
            }
            Kind::Place => format!("{indentation}{rest}"),
            Kind::Marks | Kind::Note => format!("{indentation} {rest}"),
            Kind::Elided if rest.text().is_empty() => self.margin.like(0, "...").to_string(),
            Kind::Elided => format!(
                "{} {rest}",
                self.margin.like(0, &format!("{:<width$}", "..."))
            ),
            Kind::Plain => rest.to_string(),
        }
    }

    /// Takes code that the user did not write out of a numbered line; tells where it was.
    pub fn without_inserted(&mut self, inserted: &[&str]) -> Vec<Range<usize>> {
        let mut removed = Vec::new();
        for code in inserted {
            // From the back: earlier places stay where they are.
            while let Some(start) = self.rest.text().rfind(code) {
                let start = self.rest.text()[..start].chars().count();
                let range = start..start + code.chars().count();
                self.rest.replace(range.clone(), "");
                removed.push(range);
            }
        }
        removed
    }

    /// Moves marks to where the code that they stand under is now.
    pub fn close_gaps(&mut self, removed: &[Range<usize>]) {
        for range in removed {
            let text: Vec<char> = self.rest.text().chars().collect();
            let gap = text.get(range.start..range.end.min(text.len()));
            // A label's words stand behind all marks of their line and point at nothing.
            if gap.is_some_and(|gap| gap.iter().all(|c| " ^-~+_|".contains(*c))) {
                self.rest.replace(range.clone(), "");
            }
        }
    }

    /// Drops what stands behind the user's own line.
    pub fn end_with(&mut self, original: &str) {
        let text = self.rest.text();
        let shown = text.get(2..).unwrap_or_default();
        if !original.is_empty() && shown.starts_with(original) {
            self.rest.truncate(2 + original.chars().count());
        }
    }
}
