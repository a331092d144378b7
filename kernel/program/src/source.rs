use offmodel_cells::rendering::{Origins, Place};

use crate::generate::SHOW;

/// A generated program that remembers which of its lines came from which cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// The program's text.
    pub text: String,
    /// The cells' places in it, in order.
    pub segments: Vec<Segment>,
    lines: usize,
}

/// One cell's lines within the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The cell's number.
    pub cell: usize,
    /// The program's line that holds the cell's first line, from 1.
    pub first_line: usize,
    /// The cell's lines as the user wrote them.
    pub original: Vec<String>,
    /// Code of ours inside the cell's lines.
    pub insertions: Vec<Insertion>,
}

/// Code inserted into a line of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insertion {
    /// The line in the cell, from 1.
    pub line: usize,
    /// The column, from 1, of the character that the code was inserted before.
    pub column: usize,
    /// Its length in characters.
    pub length: usize,
}

impl Source {
    /// Adds lines of ours.
    pub(crate) fn push(&mut self, code: &str) {
        for line in code.lines() {
            self.text.push_str(line);
            self.text.push('\n');
            self.lines += 1;
        }
    }

    /// Adds a cell's lines: `original` as the user wrote them, `code` with the insertions in it.
    pub(crate) fn push_cell(
        &mut self,
        cell: usize,
        original: &str,
        code: &str,
        insertions: Vec<Insertion>,
    ) {
        self.segments.push(Segment {
            cell,
            first_line: self.lines + 1,
            original: original.lines().map(str::to_owned).collect(),
            insertions,
        });
        self.push(code);
    }

    fn segment(&self, line: usize) -> Option<&Segment> {
        self.segments.iter().find(|segment| {
            (segment.first_line..segment.first_line + segment.original.len()).contains(&line)
        })
    }
}

impl Origins for Source {
    fn place(&self, line: usize, column: usize) -> Option<Place> {
        let segment = self.segment(line)?;
        let line = line - segment.first_line + 1;
        Some(Place {
            cell: segment.cell,
            line,
            column: segment.original_column(line, column),
        })
    }

    fn original_line(&self, line: usize) -> Option<&str> {
        let segment = self.segment(line)?;
        segment
            .original
            .get(line - segment.first_line)
            .map(String::as_str)
    }

    fn inserted(&self) -> &[&str] {
        &[SHOW]
    }
}

impl Segment {
    fn original_column(&self, line: usize, column: usize) -> usize {
        let mut inserted = 0;
        for insertion in self
            .insertions
            .iter()
            .filter(|insertion| insertion.line == line)
        {
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
    fn columns_behind_and_inside_insertions_are_told_in_the_users_columns() {
        let mut source = Source::default();
        source.push("fn main() {\n");
        let insertions = vec![
            Insertion {
                line: 1,
                column: 12,
                length: 6,
            },
            Insertion {
                line: 1,
                column: 13,
                length: 2,
            },
        ];
        source.push_cell(4, "let x = 1; x", "let x = 1; show!(x);", insertions);
        let column = |generated| source.place(2, generated).unwrap().column;
        assert_eq!(column(5), 5);
        assert_eq!(
            column(12),
            12,
            "the inserted code points at what it stands before"
        );
        assert_eq!(column(18), 12);
        assert_eq!(column(19), 13);
        assert_eq!(source.place(1, 1), None);
        assert_eq!(source.place(2, 1).unwrap().cell, 4);
    }
}
