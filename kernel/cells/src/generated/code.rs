//! Generated code that records where each of its lines came from.

use super::wrapper::{BIND_TAIL, SHOW_OPENING};
use crate::rendering::{CellPosition, SourceMap};

/// Rust code under construction, with the origin of every line.
///
/// `L` labels generated lines, so that an error in one of them can be understood: the live session
/// labels the line that stores a variable with that variable's name.
#[derive(Debug, Clone)]
pub struct GeneratedCode<L = ()> {
    text: String,
    /// One for each line of the text.
    origins: Vec<Origin<L>>,
}

#[derive(Debug, Clone)]
enum Origin<L> {
    Generated {
        label: Option<L>,
        /// The part of the line that messages show, if not all of it.
        shown: Option<String>,
    },
    Cell(CellLine),
}

/// A line of a cell.
#[derive(Debug, Clone)]
struct CellLine {
    cell: usize,
    /// Line in the cell, from 1.
    line: usize,
    /// The line as the user wrote it.
    original: String,
    /// Code inserted into the line, from left to right.
    insertions: Vec<Insertion>,
}

/// Code that was inserted into a line of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Insertion {
    /// The column, from 1, of the character in the user's line that the code stands before.
    pub column: usize,
    /// Its length in characters.
    pub length: usize,
}

impl<L> Default for GeneratedCode<L> {
    fn default() -> Self {
        Self {
            text: String::new(),
            origins: Vec::new(),
        }
    }
}

impl<L> GeneratedCode<L> {
    /// The code.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The number of lines.
    pub fn line_count(&self) -> usize {
        self.origins.len()
    }

    /// Appends generated lines.
    pub fn push(&mut self, code: &str) {
        for line in code.lines() {
            self.push_line(
                line,
                Origin::Generated {
                    label: None,
                    shown: None,
                },
            );
        }
    }

    /// Appends a generated line with a label.
    pub fn push_labelled(&mut self, line: &str, label: L) {
        self.push_line(
            line,
            Origin::Generated {
                label: Some(label),
                shown: None,
            },
        );
    }

    /// Appends a generated line that starts with `shown`, the only part of it that makes sense to
    /// a user who reads it in a message.
    pub fn push_shortened(&mut self, line: &str, shown: &str) {
        self.push_line(
            line,
            Origin::Generated {
                label: None,
                shown: Some(shown.to_owned()),
            },
        );
    }

    /// Appends lines of a cell without insertions; `first` is the number of the first one in the
    /// cell, from 1.
    pub fn push_cell_lines(&mut self, cell: usize, first: usize, code: &str) {
        for (index, line) in code.lines().enumerate() {
            self.push_cell_line(cell, first + index, line, line, Vec::new());
        }
    }

    /// Appends one line of a cell: `original` as the user wrote it, `line` with the insertions.
    pub(super) fn push_cell_line(
        &mut self,
        cell: usize,
        number: usize,
        original: &str,
        line: &str,
        insertions: Vec<Insertion>,
    ) {
        self.push_line(
            line,
            Origin::Cell(CellLine {
                cell,
                line: number,
                original: original.to_owned(),
                insertions,
            }),
        );
    }

    /// The label of a line, counted from 1.
    pub fn label(&self, line: usize) -> Option<&L> {
        match self.origin(line)? {
            Origin::Generated { label, .. } => label.as_ref(),
            Origin::Cell(_) => None,
        }
    }

    fn push_line(&mut self, line: &str, origin: Origin<L>) {
        self.text.push_str(line);
        self.text.push('\n');
        self.origins.push(origin);
    }

    fn origin(&self, line: usize) -> Option<&Origin<L>> {
        self.origins.get(line.checked_sub(1)?)
    }
}

impl<L> SourceMap for GeneratedCode<L> {
    fn position(&self, line: usize, column: usize) -> Option<CellPosition> {
        match self.origin(line)? {
            Origin::Generated { .. } => None,
            Origin::Cell(origin) => Some(CellPosition {
                cell: origin.cell,
                line: origin.line,
                column: origin.original_column(column),
            }),
        }
    }

    fn original_line(&self, line: usize) -> Option<&str> {
        match self.origin(line)? {
            Origin::Generated { shown, .. } => shown.as_deref(),
            Origin::Cell(origin) => Some(&origin.original),
        }
    }

    fn inserted_code(&self) -> &[&str] {
        &[SHOW_OPENING, BIND_TAIL]
    }
}

impl CellLine {
    /// The user's column for a column of the generated line. Inserted code is at the column of the
    /// character that it stands before.
    fn original_column(&self, column: usize) -> usize {
        let mut inserted = 0;
        for insertion in &self.insertions {
            let start = insertion.column + inserted;
            if column < start {
                break;
            }
            if column < start + insertion.length {
                return insertion.column;
            }
            inserted += insertion.length;
        }
        column - inserted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_behind_and_inside_insertions_are_columns_of_the_cell() {
        let mut code = GeneratedCode::<()>::default();
        code.push("fn main() {\n");
        let insertions = vec![
            Insertion {
                column: 12,
                length: 6,
            },
            Insertion {
                column: 13,
                length: 2,
            },
        ];
        code.push_cell_line(4, 1, "let x = 1; x", "let x = 1; show!(x);", insertions);
        let column = |generated| code.position(2, generated).unwrap().column;
        assert_eq!(column(5), 5);
        assert_eq!(
            column(12),
            12,
            "inserted code is where the character after it is"
        );
        assert_eq!(column(18), 12);
        assert_eq!(column(19), 13);
        assert_eq!(code.position(1, 1), None);
        assert_eq!(code.position(2, 1).unwrap().cell, 4);
    }

    #[test]
    fn lines_of_generated_code_have_labels_and_shortened_forms() {
        let mut code = GeneratedCode::default();
        code.push("{");
        code.push_labelled("put(x);", "x");
        code.push_shortened("let y: f64 = take();", "let y: f64");
        code.push_cell_lines(2, 3, "let a = 1;\nlet b = 2;");
        assert_eq!(code.text().lines().count(), code.line_count());
        assert_eq!((code.label(1), code.label(2)), (None, Some(&"x")));
        assert_eq!(code.original_line(3), Some("let y: f64"));
        assert_eq!(code.position(5, 1).map(|found| found.line), Some(4));
        assert_eq!(code.position(9, 1), None);
    }
}
