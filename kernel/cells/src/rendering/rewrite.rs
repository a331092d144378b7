use std::collections::BTreeSet;

use super::line::{Kind, Line};
use super::styled::Styled;

/// A place in a cell, counted from 1; columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The cell's number.
    pub cell: usize,
    /// The line in it.
    pub line: usize,
    /// The column in that.
    pub column: usize,
}

/// Where the lines of a generated file came from.
pub trait Origins {
    /// The place in a cell that became this line and column, both from 1; `None` for lines of
    /// our own.
    fn place(&self, line: usize, column: usize) -> Option<Place>;

    /// What to show of a line, where that is less than all of it: it may go on with code of ours.
    fn original_line(&self, line: usize) -> Option<&str>;

    /// Code of ours that may stand within a line.
    fn inserted(&self) -> &[&str];
}

/// Rewrites places (`notebook.rs:14:9`) and the line numbers in the margin, and leaves out what
/// the user did not write. `file` is the generated file's name as the compiler was given it.
///
/// Where one message shows lines of several cells, the margin says `[cell]:line`.
pub fn in_cells(rendered: &str, file: &str, origins: &impl Origins) -> String {
    let mut lines: Vec<Line> = rendered
        .trim_end()
        .lines()
        .map(Line::parse)
        .filter(|line| !is_about_our_macros(line))
        .collect();
    let mut removed = Vec::new();
    for line in &mut lines {
        match line.kind {
            Kind::Numbered(number) => {
                removed = line.without_inserted(origins.inserted());
                if let Some(original) = origins.original_line(number) {
                    line.end_with(original);
                }
            }
            Kind::Marks => line.close_gaps(&removed),
            Kind::Place | Kind::Note | Kind::Elided | Kind::Plain => {
                line.rest = with_cell_places(&line.rest, file, origins);
            }
        }
    }
    let places: Vec<Option<Place>> = lines
        .iter()
        .map(|line| match line.kind {
            Kind::Numbered(number) => origins.place(number, 1),
            _ => None,
        })
        .collect();
    let cells: BTreeSet<usize> = places.iter().flatten().map(|place| place.cell).collect();
    let labels: Vec<String> = places
        .iter()
        .map(|place| match place {
            Some(place) if cells.len() > 1 => format!("[{}]:{}", place.cell, place.line),
            Some(place) => place.line.to_string(),
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

/// "this error originates in the macro", which is around every displayed expression.
fn is_about_our_macros(line: &Line) -> bool {
    let text = line.rest.text();
    line.kind == Kind::Note
        && text.contains("originates in the macro")
        && text.contains("offmodel::")
}

/// Replaces every `notebook.rs:LINE:COLUMN`.
fn with_cell_places(line: &Styled, file: &str, origins: &impl Origins) -> Styled {
    let mut result = line.clone();
    let text = line.text();
    // From the back: earlier places stay where they are.
    for (start, _) in text.rmatch_indices(file) {
        let after = &text[start + file.len()..];
        let Some((line, column, length)) = line_and_column(after) else {
            continue;
        };
        let Some(place) = origins.place(line, column) else {
            continue;
        };
        let first = text[..start].chars().count();
        let last = first + file.chars().count() + length;
        let told = format!(
            "cell {}, line {}, column {}",
            place.cell, place.line, place.column
        );
        result.replace(first..last, &told);
    }
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

    /// Two cells: number 2 is line 11, number 3 the lines from 100.
    struct Cells;

    impl Origins for Cells {
        fn place(&self, line: usize, column: usize) -> Option<Place> {
            let (cell, line) = match line {
                11 => (2, 1),
                100.. => (3, line - 99),
                _ => return None,
            };
            Some(Place { cell, line, column })
        }

        fn original_line(&self, line: usize) -> Option<&str> {
            match line {
                11 => Some("let moved = p;"),
                102 => Some("p.norm()"),
                _ => None,
            }
        }

        fn inserted(&self) -> &[&str] {
            &["show!("]
        }
    }

    fn told(rendered: &str) -> String {
        in_cells(rendered, "notebook.rs", &Cells)
    }

    #[test]
    fn places_and_margins_are_told_in_one_cells_lines() {
        let rendered = "error[E0425]: cannot find value `p` in this scope\n   --> notebook.rs:102:1\n    |\n102 | p.norm());\n    | ^ not found in this scope\n";
        assert_eq!(
            told(rendered),
            "error[E0425]: cannot find value `p` in this scope\n --> cell 3, line 3, column 1\n  |\n3 | p.norm()\n  | ^ not found in this scope"
        );
    }

    #[test]
    fn a_message_about_two_cells_names_the_cell_of_every_line() {
        let rendered = "error[E0382]: borrow of moved value: `p`\n   --> notebook.rs:102:1\n    |\n 11 | let moved = p;\n    |             - value moved here\n...\n102 | p.norm());\n    | ^ value borrowed here after move\n    |\n    = note: it moved\n";
        let expected = "error[E0382]: borrow of moved value: `p`\n     --> cell 3, line 3, column 1\n      |\n[2]:1 | let moved = p;\n      |             - value moved here\n...\n[3]:3 | p.norm()\n      | ^ value borrowed here after move\n      |\n      = note: it moved";
        assert_eq!(told(rendered), expected);
    }

    #[test]
    fn marks_move_with_the_code_that_they_stand_under() {
        let rendered = "   --> notebook.rs:104:12\n    |\n104 | a(); show!(undefined\n    | -          ^^^^^^^^^ not found\n    | |\n    | the label of this one is longer\nhelp: say more\n    |\n104 | a();show!( undefined\n    |    +\n    = note: this error originates in the macro `::offmodel::live::show` (in Nightly)\n";
        assert_eq!(
            told(rendered),
            " --> cell 3, line 5, column 12\n  |\n5 | a(); undefined\n  | -    ^^^^^^^^^ not found\n  | |\n  | the label of this one is longer\nhelp: say more\n  |\n5 | a(); undefined\n  |    +"
        );
    }

    #[test]
    fn colours_are_kept() {
        let rendered = "\u{1b}[1m\u{1b}[94m102\u{1b}[0m \u{1b}[1m\u{1b}[94m|\u{1b}[0m p.norm());";
        assert_eq!(
            told(rendered),
            "\u{1b}[1m\u{1b}[94m3\u{1b}[0m \u{1b}[1m\u{1b}[94m|\u{1b}[0m p.norm()"
        );
    }
}
