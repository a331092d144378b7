//! The text of a cell on its way into generated code.

use super::code::{GeneratedCode, Insertion};
use crate::cell::Cell;
use crate::position::line_and_column;

/// The text of a cell, with code to insert into it.
#[derive(Debug, Clone)]
pub struct CellText {
    /// Without the insertions.
    text: String,
    /// By byte offset of the text.
    insertions: Vec<(usize, String)>,
}

impl CellText {
    /// The whole text of a cell.
    pub fn new(cell: &Cell) -> Self {
        Self {
            text: cell.code.clone(),
            insertions: Vec::new(),
        }
    }

    /// The statements of a cell, with blanks in place of its items. Lines and columns stay.
    pub fn without_items(cell: &Cell) -> Self {
        let mut bytes = cell.code.clone().into_bytes();
        for item in &cell.items {
            // A character of several bytes becomes several blanks, so statements on the last line
            // of such an item move to the right. Line numbers never change.
            for byte in &mut bytes[item.range.clone()] {
                if *byte != b'\n' {
                    *byte = b' ';
                }
            }
        }
        Self {
            text: String::from_utf8(bytes).unwrap_or_else(|_| cell.code.clone()),
            insertions: Vec::new(),
        }
    }

    /// Inserts `code`, of one line, before the byte `offset` of [`Cell::code`]. Code inserted
    /// earlier at the same offset comes first.
    pub fn insert(&mut self, offset: usize, code: impl Into<String>) {
        self.insertions.push((offset, code.into()));
    }

    /// Appends the lines to generated code, as those of the cell of this number. `original` is the
    /// cell as the user wrote it.
    pub fn append_to<L>(mut self, generated: &mut GeneratedCode<L>, cell: usize, original: &str) {
        self.insertions.sort_by_key(|(offset, _)| *offset);
        let mut located = Vec::new();
        let mut text = String::with_capacity(self.text.len() + 64 * self.insertions.len());
        let mut copied = 0;
        for (offset, code) in &self.insertions {
            text.push_str(&self.text[copied..*offset]);
            text.push_str(code);
            copied = *offset;
            let (line, column) = line_and_column(&self.text, *offset);
            let length = code.chars().count();
            located.push((line, Insertion { column, length }));
        }
        text.push_str(&self.text[copied..]);
        let mut originals = original.lines();
        for (index, content) in text.lines().enumerate() {
            let number = index + 1;
            let own = located.iter().filter(|(line, _)| *line == number);
            generated.push_cell_line(
                cell,
                number,
                originals.next().unwrap_or_default(),
                content,
                own.map(|(_, insertion)| *insertion).collect(),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::parse;
    use crate::rendering::SourceMap;

    #[test]
    fn insertions_keep_the_columns_of_the_users_text() {
        let source = "let x = 1;\nlet y = 2; x + y";
        let cell = parse(source).unwrap();
        let tail = cell.tail.clone().unwrap();
        let mut text = CellText::new(&cell);
        text.insert(tail.end, ");");
        text.insert(tail.start, "show!(");
        let mut generated = GeneratedCode::<()>::default();
        text.append_to(&mut generated, 7, source);
        assert_eq!(generated.text(), "let x = 1;\nlet y = 2; show!(x + y);\n");
        let position = generated.position(2, 18).unwrap();
        assert_eq!((position.cell, position.line, position.column), (7, 2, 12));
        assert_eq!(generated.original_line(2), Some("let y = 2; x + y"));
    }

    #[test]
    fn items_become_blanks() {
        let cell = parse("fn f() {\n    1\n}\nf()").unwrap();
        let mut generated = GeneratedCode::<()>::default();
        CellText::without_items(&cell).append_to(&mut generated, 1, &cell.code);
        assert_eq!(generated.text(), "        \n     \n \nf()\n");
    }
}
