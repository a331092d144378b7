//! rustc's own rendering of a message, with the program's lines replaced by the cells'.

use std::collections::BTreeSet;

use crate::generate::FILE;
use crate::source::Source;

/// Rewrites places (`notebook.rs:14:9`) and the line numbers in the margin.
///
/// Where one message shows lines of several cells, the margin says `[cell]:line`.
pub(crate) fn in_cells(rendered: &str, source: &Source) -> String {
    let lines: Vec<Line> = rendered
        .trim_end()
        .lines()
        .map(|line| Line::parse(line, source))
        .collect();
    let cells: BTreeSet<usize> = lines.iter().filter_map(Line::cell).collect();
    let labels: Vec<String> = lines
        .iter()
        .map(|line| line.label(cells.len() > 1))
        .collect();
    let width = labels
        .iter()
        .map(|label| label.chars().count())
        .max()
        .unwrap_or_default();
    lines
        .iter()
        .zip(&labels)
        .map(|(line, label)| line.with_margin(label, width, source))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A line of a rendering: those with a margin are `NUMBER | text` or `      | text`.
enum Line<'a> {
    /// A line of the program; the rest starts with the separator.
    Numbered {
        cell: Option<(usize, usize)>,
        rest: String,
    },
    /// A margin without a number: carets, `-->`, `= note`.
    Unnumbered { rest: &'a str },
    /// `...`, where lines are left out.
    Elided { rest: &'a str },
    /// A headline.
    Plain(&'a str),
}

impl<'a> Line<'a> {
    fn parse(line: &'a str, source: &Source) -> Self {
        let numbered = line.trim_start();
        let digits = numbered.bytes().take_while(u8::is_ascii_digit).count();
        let trimmed = numbered[digits..].trim_start();
        if digits > 0 && trimmed.starts_with(['|', '~', '+', '-']) {
            let number = numbered[..digits].parse().unwrap_or_default();
            let cell = source
                .place(number, 1)
                .map(|place| (place.cell, place.line));
            return Self::Numbered {
                cell,
                rest: with_original(trimmed, number, source),
            };
        }
        if let Some(rest) = line.strip_prefix("...") {
            return Self::Elided {
                rest: rest.trim_start(),
            };
        }
        let is_margin = line.starts_with(' ')
            && (trimmed.starts_with(['|', '='])
                || trimmed.starts_with("-->")
                || trimmed.starts_with(":::"));
        if is_margin {
            Self::Unnumbered { rest: trimmed }
        } else {
            Self::Plain(line)
        }
    }

    fn cell(&self) -> Option<usize> {
        match self {
            Self::Numbered { cell, .. } => cell.map(|(cell, _)| cell),
            _ => None,
        }
    }

    fn label(&self, with_cell: bool) -> String {
        match self {
            Self::Numbered {
                cell: Some((cell, line)),
                ..
            } if with_cell => format!("[{cell}]:{line}"),
            Self::Numbered {
                cell: Some((_, line)),
                ..
            } => line.to_string(),
            _ => String::new(),
        }
    }

    fn with_margin(&self, label: &str, width: usize, source: &Source) -> String {
        let indent = " ".repeat(width);
        match self {
            Self::Numbered { rest, .. } => format!("{label:>width$} {rest}"),
            Self::Unnumbered { rest } if rest.starts_with("-->") || rest.starts_with(":::") => {
                format!("{indent}{}", with_cell_places(rest, source))
            }
            Self::Unnumbered { rest } => format!("{indent} {}", with_cell_places(rest, source)),
            Self::Elided { rest: "" } => "...".to_owned(),
            Self::Elided { rest } => format!("{:<width$} {rest}", "..."),
            Self::Plain(text) => with_cell_places(text, source),
        }
    }
}

/// The source line without our insertions, where they stand behind everything that is shown.
fn with_original(separated: &str, number: usize, source: &Source) -> String {
    let Some(original) = source.original_line(number) else {
        return separated.to_owned();
    };
    match separated.strip_prefix("| ") {
        Some(shown) if shown.starts_with(original) => format!("| {original}"),
        _ => separated.to_owned(),
    }
}

/// Replaces every `notebook.rs:LINE:COLUMN`.
fn with_cell_places(text: &str, source: &Source) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(FILE) {
        result.push_str(&rest[..start]);
        let after = &rest[start + FILE.len()..];
        let (place, length) = match line_and_column(after) {
            Some((line, column, length)) => (source.place(line, column), length),
            None => (None, 0),
        };
        match place {
            Some(place) => {
                result.push_str(&format!(
                    "cell {}, line {}, column {}",
                    place.cell, place.line, place.column
                ));
            }
            None => result.push_str(&rest[start..start + FILE.len() + length]),
        }
        rest = &after[length..];
    }
    result.push_str(rest);
    result
}

/// Reads `:14:9` at the start of a text; gives the length read as well.
fn line_and_column(text: &str) -> Option<(usize, usize, usize)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let line_text = text.strip_prefix(':')?;
    let line_length = digits(line_text);
    let column_text = line_text[line_length..].strip_prefix(':')?;
    let column_length = digits(column_text);
    let line = line_text[..line_length].parse().ok()?;
    let column = column_text[..column_length].parse().ok()?;
    Some((line, column, 2 + line_length + column_length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        let mut source = Source::default();
        source.push(&"//\n".repeat(10));
        source.push_cell(2, "let moved = p;", "let moved = p;", Vec::new());
        source.push(&"//\n".repeat(88));
        source.push_cell(3, "\n\np.norm()", "\n\np.norm());", Vec::new());
        source
    }

    #[test]
    fn places_and_margins_are_told_in_one_cells_lines() {
        let rendered = "error[E0425]: cannot find value `p` in this scope\n   --> notebook.rs:102:1\n    |\n102 | p.norm());\n    | ^ not found in this scope\n";
        assert_eq!(
            in_cells(rendered, &source()),
            "error[E0425]: cannot find value `p` in this scope\n --> cell 3, line 3, column 1\n  |\n3 | p.norm()\n  | ^ not found in this scope"
        );
    }

    #[test]
    fn a_message_about_two_cells_names_the_cell_of_every_line() {
        let rendered = "error[E0382]: borrow of moved value: `p`\n   --> notebook.rs:102:1\n    |\n 11 | let moved = p;\n    |             - value moved here\n...\n102 | p.norm());\n    | ^ value borrowed here after move\n    |\n    = note: it moved\n";
        let expected = "error[E0382]: borrow of moved value: `p`\n     --> cell 3, line 3, column 1\n      |\n[2]:1 | let moved = p;\n      |             - value moved here\n...\n[3]:3 | p.norm()\n      | ^ value borrowed here after move\n      |\n      = note: it moved";
        assert_eq!(in_cells(rendered, &source()), expected);
    }
}
