//! Generated source that remembers which of its lines came from where.

/// Where a line of generated source came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Ours.
    Generated,
    /// Line `line`, from 1, of the cell being run. Columns behind `shift` are moved by `by`
    /// characters: code was inserted there.
    Cell {
        line: usize,
        shift: usize,
        by: usize,
    },
    /// Line `line` of an earlier cell, of an item in it.
    EarlierCell { execution: usize, line: usize },
    /// Takes an earlier variable out of the store: so much of the line says what it is.
    Taken { declaration: String },
    /// Asks for the type of a variable; the answer is an error message.
    TypeQuestion { variable: usize },
    /// Takes an earlier variable out of the store, or puts it back.
    Earlier { name: String },
    /// Stores a variable that the cell defines.
    New { name: String },
}

/// Source under construction.
#[derive(Debug, Default)]
pub(crate) struct Source {
    text: String,
    origins: Vec<Origin>,
}

impl Source {
    /// Adds lines of one origin.
    pub fn push(&mut self, code: &str, origin: &Origin) {
        for line in code.lines() {
            self.text.push_str(line);
            self.text.push('\n');
            self.origins.push(origin.clone());
        }
    }

    /// Adds our own code.
    pub fn generated(&mut self, code: &str) {
        self.push(code, &Origin::Generated);
    }

    /// Adds the cell's lines as they are, the first being line `first` of the cell.
    pub fn cell(&mut self, code: &str, first: usize) {
        for (index, line) in code.lines().enumerate() {
            self.push_line(
                line,
                Origin::Cell {
                    line: first + index,
                    shift: usize::MAX,
                    by: 0,
                },
            );
        }
    }

    pub fn push_line(&mut self, line: &str, origin: Origin) {
        self.text.push_str(line);
        self.text.push('\n');
        self.origins.push(origin);
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The origin of a line of the text, counted from 1.
    pub fn origin(&self, line: usize) -> &Origin {
        line.checked_sub(1)
            .and_then(|index| self.origins.get(index))
            .unwrap_or(&Origin::Generated)
    }
}

/// The text with a byte range replaced by blanks, so that all other positions stay.
pub(crate) fn blanked(
    text: &str,
    ranges: impl IntoIterator<Item = std::ops::Range<usize>>,
) -> String {
    let mut bytes: Vec<u8> = text.bytes().collect();
    for range in ranges {
        // Multi-byte characters become several blanks: columns behind an item on its own last
        // line may shift, lines never do.
        for byte in &mut bytes[range] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}
