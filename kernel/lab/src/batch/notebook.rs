/// The notebook of a generated program: maps lines of the generated source to lines of cells.
#[derive(Debug, Clone, Copy)]
pub struct Notebook {
    /// The generated source file, as the compiler names it in locations.
    pub file: &'static str,
    /// The lines of `file` that came from cells, in order.
    pub segments: &'static [Segment],
}

/// The lines of one cell within the generated source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The cell's place among the notebook's code cells, from 1.
    pub cell: usize,
    /// The line of the generated source that holds the cell's first line, from 1.
    pub first_line: usize,
    /// Number of lines of the cell.
    pub lines: usize,
}

impl Notebook {
    /// The cell that a line of the generated source came from, and the line within it, from 1.
    pub(super) fn place(&self, source_line: usize) -> Option<(usize, usize)> {
        self.segments
            .iter()
            .find(|segment| {
                (segment.first_line..segment.first_line + segment.lines).contains(&source_line)
            })
            .map(|segment| (segment.cell, source_line - segment.first_line + 1))
    }

    /// The number of the last cell; 0 if the notebook has none.
    pub(super) fn last_cell(&self) -> usize {
        self.segments.last().map_or(0, |segment| segment.cell)
    }
}
