//! One line of a rendered message, split into margin and content.

use std::ops::Range;

use super::styled::Styled;

/// A line of a rendered message. Lines with a margin are `NUMBER | text` or `       | text`.
#[derive(Debug)]
pub(super) struct Line {
    pub kind: Kind,
    /// The content after the margin, from the separator on.
    pub rest: Styled,
    /// The whole line as rustc rendered it; new margins take their colour from it.
    rendered: Styled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A line of the generated file, with its number in the margin.
    Numbered(usize),
    /// Marks and labels under a numbered line.
    Marks,
    /// `--> FILE:LINE:COLUMN`, or `:::` for other files.
    Position,
    /// `= note: ...`
    Note,
    /// `...` in place of omitted lines.
    Omission,
    /// Any line without a margin, such as `error[E0425]: ...`.
    Plain,
}

impl Line {
    pub(super) fn parse(line: &str) -> Self {
        let rendered = Styled::parse(line);
        let text = rendered.text();
        // Everything skipped below is ASCII, so byte offsets are character offsets.
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
        let content = &text[start..];
        let number = text[indentation..behind_number].parse();
        let (kind, start) = match number {
            Ok(number) if content.starts_with(['|', '~', '+', '-']) => {
                (Kind::Numbered(number), start)
            }
            _ if text.starts_with("...") => {
                let gap = text[3..].bytes().take_while(|&byte| byte == b' ').count();
                (Kind::Omission, 3 + gap)
            }
            _ if indentation == 0 || digits > 0 => (Kind::Plain, 0),
            _ if content.starts_with('|') => (Kind::Marks, start),
            _ if content.starts_with('=') => (Kind::Note, start),
            _ if content.starts_with("-->") || content.starts_with(":::") => {
                (Kind::Position, start)
            }
            _ => (Kind::Plain, 0),
        };
        Self {
            kind,
            rest: rendered.from(start),
            rendered,
        }
    }

    /// Renders the line with `label` in a margin of `width` characters.
    pub(super) fn with_margin(&self, label: &str, width: usize) -> String {
        let indentation = " ".repeat(width);
        let rest = &self.rest;
        match self.kind {
            Kind::Numbered(_) => {
                let text = self.rendered.text();
                let number = text.bytes().take_while(|&byte| byte == b' ').count();
                let label = self.rendered.like(number, &format!("{label:>width$}"));
                format!("{label} {rest}")
            }
            Kind::Position => format!("{indentation}{rest}"),
            Kind::Marks | Kind::Note => format!("{indentation} {rest}"),
            Kind::Omission if rest.text().is_empty() => self.rendered.like(0, "...").to_string(),
            Kind::Omission => format!(
                "{} {rest}",
                self.rendered.like(0, &format!("{:<width$}", "..."))
            ),
            Kind::Plain => rest.to_string(),
        }
    }

    /// Removes generated code from a numbered line. Returns the columns that it was in, from the
    /// last to the first.
    pub(super) fn remove_inserted(&mut self, inserted: &[&str]) -> Vec<Range<usize>> {
        let mut removed = Vec::new();
        for code in inserted {
            // From the back, so that the offsets of earlier matches stay valid.
            while let Some(start) = self.rest.text().rfind(code) {
                let start = self.rest.text()[..start].chars().count();
                let range = start..start + code.chars().count();
                self.rest.replace(range.clone(), "");
                removed.push(range);
            }
        }
        removed
    }

    /// Removes the same columns from a line of marks, so that marks stay under their code.
    pub(super) fn remove_columns(&mut self, removed: &[Range<usize>]) {
        for range in removed {
            let text: Vec<char> = self.rest.text().chars().collect();
            let gap = text.get(range.start..range.end.min(text.len()));
            // The words of a label belong to no column; they stay.
            if gap.is_some_and(|gap| gap.iter().all(|c| " ^-~+_|".contains(*c))) {
                self.rest.replace(range.clone(), "");
            }
        }
    }

    /// Removes everything after the user's own line.
    pub(super) fn truncate_after(&mut self, original: &str) {
        let text = self.rest.text();
        let shown = text.get(2..).unwrap_or_default();
        if !original.is_empty() && shown.starts_with(original) {
            self.rest.truncate(2 + original.chars().count());
        }
    }
}
