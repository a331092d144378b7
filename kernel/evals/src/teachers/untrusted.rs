//! Text from a server, before it is shown.

/// Characters of a server's text that an error shows.
const SHOWN: usize = 300;

/// One line of at most 300 characters without control characters, so that a terminal or a
/// notebook shows it as the text that it is.
pub(super) fn tidy(text: &str) -> String {
    let mut shown = String::new();
    for (index, word) in text.split_whitespace().enumerate() {
        if index > 0 {
            shown.push(' ');
        }
        shown.extend(word.chars().map(|character| match character {
            // Marks of direction reorder what stands around them.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            other if other.is_control() => '\u{fffd}',
            other => other,
        }));
        if shown.len() > 4 * SHOWN {
            break;
        }
    }
    match shown.char_indices().nth(SHOWN) {
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
        assert_eq!(tidy("a \u{1b}[31mred\r\n  line"), "a \u{fffd}[31mred line");
        let long = tidy(&"é".repeat(5000));
        assert_eq!(long.chars().count(), SHOWN + 3);
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_bounded_line(text in "\\PC*|[\\x00-\\x7f]{0,2000}") {
            let shown = tidy(&text);
            prop_assert!(shown.chars().count() <= SHOWN + 3);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
