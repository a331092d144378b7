//! Makes text from a server safe to show.

/// Longest text of a server in an error message, in characters.
const MAX_SHOWN_CHARACTERS: usize = 300;

/// Shortens `text` to one line of at most 300 characters without control characters, so that it can
/// neither move a terminal's cursor nor reorder the text around it.
pub(super) fn one_line(text: &str) -> String {
    let mut shown = String::new();
    for (index, word) in text.split_whitespace().enumerate() {
        if index > 0 {
            shown.push(' ');
        }
        shown.extend(word.chars().map(|character| match character {
            // Bidirectional controls reorder the surrounding text.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            other if other.is_control() => '\u{fffd}',
            other => other,
        }));
        if shown.len() > 4 * MAX_SHOWN_CHARACTERS {
            break;
        }
    }
    match shown.char_indices().nth(MAX_SHOWN_CHARACTERS) {
        None => shown,
        Some((end, _)) => {
            shown.truncate(end);
            shown + "..."
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_line_breaks_and_length_are_gone() {
        assert_eq!(
            one_line("a \u{1b}[31mred\r\n  line"),
            "a \u{fffd}[31mred line"
        );
        let long = one_line(&"é".repeat(5000));
        assert_eq!(long.chars().count(), MAX_SHOWN_CHARACTERS + 3);
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_bounded_line(text in "\\PC*|[\\x00-\\x7f]{0,2000}") {
            let shown = one_line(&text);
            prop_assert!(shown.chars().count() <= MAX_SHOWN_CHARACTERS + 3);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
