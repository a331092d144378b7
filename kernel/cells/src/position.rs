//! Conversion between byte offsets and lines and columns.

use proc_macro2::LineColumn;

/// The byte offset of a position as `proc-macro2` counts: lines from 1, columns in characters
/// from 0. A position after the end of a line is the end of that line.
pub(crate) fn offset_of(source: &str, position: LineColumn) -> usize {
    byte_offset(source, position.line, position.column + 1)
}

/// The byte offset of a line and column, both from 1, columns counted in characters.
pub fn byte_offset(source: &str, line: usize, column: usize) -> usize {
    let start = match line {
        0 | 1 => 0,
        _ => source
            .match_indices('\n')
            .nth(line - 2)
            .map_or(source.len(), |(newline, _)| newline + 1),
    };
    let text = source[start..].split('\n').next().unwrap_or_default();
    let within = text
        .char_indices()
        .nth(column.saturating_sub(1))
        .map_or(text.len(), |(i, _)| i);
    start + within
}

/// The line and column of a byte offset, both from 1, columns counted in characters.
pub fn line_and_column(source: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(source.len());
    while !source.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &source[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before
        .rsplit('\n')
        .next()
        .unwrap_or_default()
        .chars()
        .count()
        + 1;
    (line, column)
}
