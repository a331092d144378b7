//! Rewrites positions, line numbers and inserted code in a rendered message.

use std::collections::BTreeSet;

use super::line::{Kind, Line};
use super::styled::Styled;

/// A position in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellPosition {
    /// The cell's number.
    pub cell: usize,
    /// Line in the cell, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

/// Maps the lines of a generated file to lines of cells.
pub trait SourceMap {
    /// The position in a cell that became this line and column of the file, both from 1; none for
    /// generated lines.
    fn position(&self, line: usize, column: usize) -> Option<CellPosition>;

    /// The text to show for a line of the file, if it is not all of the line: after the user's
    /// code, a line may continue with generated code.
    fn original_line(&self, line: usize) -> Option<&str>;

    /// Generated code that may be inside the user's lines.
    fn inserted_code(&self) -> &[&str];
}

/// The summary of an error in a cell: one line with the message and its position.
pub fn headline(message: &str, line: usize, column: usize) -> String {
    format!("{message} (line {line}, column {column})")
}

/// Rewrites a message that rustc rendered: positions (`notebook.rs:14:9`) and line numbers in the
/// margin become those of cells, and code that the user did not write is removed.
///
/// `file` is the name of the generated file as it was passed to rustc. If the message shows lines
/// of several cells, the margin holds `[cell]:line`.
pub fn render_in_cells(rendered: &str, file: &str, source_map: &impl SourceMap) -> String {
    let mut lines: Vec<Line> = rendered
        .trim_end()
        .lines()
        .map(Line::parse)
        .filter(|line| !is_about_generated_macro(line))
        .collect();
    let mut removed = Vec::new();
    for line in &mut lines {
        match line.kind {
            Kind::Numbered(number) => {
                removed = line.remove_inserted(source_map.inserted_code());
                if let Some(original) = source_map.original_line(number) {
                    line.truncate_after(original);
                }
            }
            Kind::Marks => line.remove_columns(&removed),
            Kind::Position | Kind::Note | Kind::Omission | Kind::Plain => {
                line.rest = with_cell_positions(&line.rest, file, source_map);
            }
        }
    }
    let positions: Vec<Option<CellPosition>> = lines
        .iter()
        .map(|line| match line.kind {
            Kind::Numbered(number) => source_map.position(number, 1),
            _ => None,
        })
        .collect();
    let positions_in_cells = positions.iter().flatten();
    let cells: BTreeSet<usize> = positions_in_cells.map(|position| position.cell).collect();
    let labels: Vec<String> = positions
        .iter()
        .map(|position| match position {
            Some(CellPosition { cell, line, .. }) if cells.len() > 1 => format!("[{cell}]:{line}"),
            Some(CellPosition { line, .. }) => line.to_string(),
            None => String::new(),
        })
        .collect();
    let width = labels.iter().map(String::len).max().unwrap_or_default();
    lines
        .iter()
        .zip(&labels)
        .map(|(line, label)| line.with_margin(label, width))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Whether a note says "this error originates in the macro `show`", which the user did not write:
/// the generated code puts it around every tail expression.
fn is_about_generated_macro(line: &Line) -> bool {
    let text = line.rest.text();
    line.kind == Kind::Note
        && text.contains("originates in the macro")
        && text.contains("offmodel::")
}

/// Replaces every `FILE:LINE:COLUMN` by "cell C, line L, column N".
fn with_cell_positions(line: &Styled, file: &str, source_map: &impl SourceMap) -> Styled {
    let mut result = line.clone();
    let text = line.text();
    // From the back, so that the offsets of earlier matches stay valid.
    for (start, _) in text.rmatch_indices(file) {
        let after = &text[start + file.len()..];
        let Some((line, column, length)) = parse_line_and_column(after) else {
            continue;
        };
        let Some(position) = source_map.position(line, column) else {
            continue;
        };
        let first = text[..start].chars().count();
        let last = first + file.chars().count() + length;
        let CellPosition { cell, line, column } = position;
        let replacement = format!("cell {cell}, line {line}, column {column}");
        result.replace(first..last, &replacement);
    }
    result
}

/// Parses `:LINE:COLUMN` at the start of a text; the third value is the parsed length in bytes.
fn parse_line_and_column(text: &str) -> Option<(usize, usize, usize)> {
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

    /// A file with two cells: cell 2 is line 11, cell 3 begins at line 100.
    struct TwoCells;

    impl SourceMap for TwoCells {
        fn position(&self, line: usize, column: usize) -> Option<CellPosition> {
            let (cell, line) = match line {
                11 => (2, 1),
                100.. => (3, line - 99),
                _ => return None,
            };
            Some(CellPosition { cell, line, column })
        }

        fn original_line(&self, line: usize) -> Option<&str> {
            match line {
                11 => Some("let moved = p;"),
                102 => Some("p.norm()"),
                _ => None,
            }
        }

        fn inserted_code(&self) -> &[&str] {
            &["show!("]
        }
    }

    fn rewritten(rendered: &str) -> String {
        render_in_cells(rendered, "notebook.rs", &TwoCells)
    }

    #[test]
    fn positions_and_margins_hold_lines_of_the_cell() {
        let rendered = "error[E0425]: cannot find value `p` in this scope\n   --> notebook.rs:102:1\n    |\n102 | p.norm());\n    | ^ not found in this scope\n";
        assert_eq!(
            rewritten(rendered),
            "error[E0425]: cannot find value `p` in this scope\n --> cell 3, line 3, column 1\n  |\n3 | p.norm()\n  | ^ not found in this scope"
        );
    }

    #[test]
    fn a_message_about_two_cells_names_the_cell_of_every_line() {
        let rendered = "error[E0382]: borrow of moved value: `p`\n   --> notebook.rs:102:1\n    |\n 11 | let moved = p;\n    |             - value moved here\n...\n102 | p.norm());\n    | ^ value borrowed here after move\n    |\n    = note: it moved\n";
        let expected = "error[E0382]: borrow of moved value: `p`\n     --> cell 3, line 3, column 1\n      |\n[2]:1 | let moved = p;\n      |             - value moved here\n...\n[3]:3 | p.norm()\n      | ^ value borrowed here after move\n      |\n      = note: it moved";
        assert_eq!(rewritten(rendered), expected);
    }

    #[test]
    fn marks_stay_under_the_code_that_they_belong_to() {
        let rendered = "   --> notebook.rs:104:12\n    |\n104 | a(); show!(undefined\n    | -          ^^^^^^^^^ not found\n    | |\n    | the label of this one is longer\nhelp: say more\n    |\n104 | a();show!( undefined\n    |    +\n    = note: this error originates in the macro `::offmodel::live::show` (in Nightly)\n";
        assert_eq!(
            rewritten(rendered),
            " --> cell 3, line 5, column 12\n  |\n5 | a(); undefined\n  | -    ^^^^^^^^^ not found\n  | |\n  | the label of this one is longer\nhelp: say more\n  |\n5 | a(); undefined\n  |    +"
        );
    }

    #[test]
    fn colours_are_kept() {
        let rendered = "\u{1b}[1m\u{1b}[94m102\u{1b}[0m \u{1b}[1m\u{1b}[94m|\u{1b}[0m p.norm());";
        assert_eq!(
            rewritten(rendered),
            "\u{1b}[1m\u{1b}[94m3\u{1b}[0m \u{1b}[1m\u{1b}[94m|\u{1b}[0m p.norm()"
        );
    }
}
