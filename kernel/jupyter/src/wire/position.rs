//! [Cursor positions](https://jupyter-client.readthedocs.io/en/stable/messaging.html#cursor-pos-and-unicode-offsets):
//! the protocol counts Unicode code points, Rust counts bytes.

/// The byte offset of the code point at index `position`; the end of the text for one past it.
pub(crate) fn byte_offset(source: &str, position: usize) -> usize {
    source
        .char_indices()
        .nth(position)
        .map_or(source.len(), |(offset, _)| offset)
}

/// The number of code points that end at or before the byte `offset`.
pub(crate) fn code_points(source: &str, offset: usize) -> usize {
    source
        .char_indices()
        .take_while(|(start, character)| start + character.len_utf8() <= offset)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_code_points_and_offsets_count_bytes() {
        let source = "é𝛼x";
        let offsets = [0, 2, 6, 7];
        for (position, offset) in offsets.into_iter().enumerate() {
            assert_eq!(byte_offset(source, position), offset);
            assert_eq!(code_points(source, offset), position);
        }
        assert_eq!(byte_offset(source, 99), 7);
        assert_eq!(code_points(source, 99), 3);
        assert_eq!(code_points(source, 4), 1);
    }
}
