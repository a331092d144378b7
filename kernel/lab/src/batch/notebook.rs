/// What a generated program knows about its notebook.
#[derive(Debug, Clone, Copy)]
pub struct Notebook {
    /// The generated source file, as the compiler names it in locations.
    pub file: &'static str,
    /// Which lines of it came from which cell, in order.
    pub segments: &'static [Segment],
}

/// The lines of one cell within the generated source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The cell's number.
    pub cell: usize,
    /// The line of the source that holds the cell's first line, both from 1.
    pub first_line: usize,
    /// How many lines the cell has.
    pub lines: usize,
}

impl Notebook {
    /// The cell that a line of the source came from, and the line within it, from 1.
    pub(super) fn place(&self, source_line: usize) -> Option<(usize, usize)> {
        self.segments
            .iter()
            .find(|segment| {
                (segment.first_line..segment.first_line + segment.lines).contains(&source_line)
            })
            .map(|segment| (segment.cell, source_line - segment.first_line + 1))
    }

    pub(super) fn last_cell(&self) -> usize {
        self.segments.last().map_or(0, |segment| segment.cell)
    }
}
