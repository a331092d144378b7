//! Classes of characters as Python's `str` and `re` have them.

/// Whether `str.isspace` and `\s` accept the character: Unicode's white space and the four
/// information separators, which Rust leaves out.
pub fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// Whether `\w` accepts the character: letters, numbers and the underscore. Combining marks are
/// not among them, other than in Rust's `regex`.
pub fn is_word(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric() || character == '_';
    }
    // `char::is_alphabetic` is wider: it also has marks (`Other_Alphabetic`), which are excluded.
    (character.is_alphabetic() && !is_mark(character)) || character.is_numeric()
}

/// Whether the character is a combining mark (general category M) or a symbol (So), such as Ⓐ, that
/// only `Other_Alphabetic` makes alphabetic.
fn is_mark(character: char) -> bool {
    use std::sync::LazyLock;
    static MARK: LazyLock<regex::Regex> = LazyLock::new(|| {
        // The pattern is a constant; the test below compiles it.
        #[expect(
            clippy::unwrap_used,
            reason = "a constant pattern, compiled by every test"
        )]
        regex::Regex::new(r"^[\p{M}\p{So}]$").unwrap()
    });
    MARK.is_match(character.encode_utf8(&mut [0; 4]))
}

/// Whether `\b` matches at `position`: exactly one of the characters before and after it is a word
/// character.
pub fn is_word_boundary(text: &[char], position: usize) -> bool {
    let is_word_at = |index: Option<usize>| {
        let character = index.and_then(|index| text.get(index));
        character.is_some_and(|&character| is_word(character))
    };
    is_word_at(position.checked_sub(1)) != is_word_at(Some(position))
}

/// `str.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// `str.split()`: the pieces between runs of white space.
pub fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|piece| !piece.is_empty())
}

/// `str.isupper()`: at least one character with case, and none that is lower or title case.
pub fn is_upper(text: &str) -> bool {
    has_only_case(text, char::is_uppercase, char::is_lowercase)
}

/// `str.islower()`: at least one character with case, and none that is upper or title case.
pub fn is_lower(text: &str) -> bool {
    has_only_case(text, char::is_lowercase, char::is_uppercase)
}

fn has_only_case(text: &str, wanted: fn(char) -> bool, other: fn(char) -> bool) -> bool {
    let mut found = false;
    for character in text.chars() {
        if other(character) || is_title(character) {
            return false;
        }
        found |= wanted(character);
    }
    found
}

/// Whether the character has title case (general category Lt), such as `ǅ`.
fn is_title(character: char) -> bool {
    matches!(character,
        '\u{1c5}' | '\u{1c8}' | '\u{1cb}' | '\u{1f2}'
        | '\u{1f88}'..='\u{1f8f}' | '\u{1f98}'..='\u{1f9f}' | '\u{1fa8}'..='\u{1faf}'
        | '\u{1fbc}' | '\u{1fcc}' | '\u{1ffc}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn information_separators_are_white_space() {
        assert!(is_space('\u{1c}') && is_space('\u{a0}') && !is_space('\u{200b}'));
        assert_eq!(strip("\u{1f} a b\u{a0}"), "a b");
        assert_eq!(split(" a\u{1d}b  c ").collect::<Vec<_>>(), ["a", "b", "c"]);
    }

    #[test]
    fn combining_marks_are_no_word_characters_and_numbers_are() {
        assert!(is_word('é') && is_word('क') && is_word('½') && is_word('Ⅷ') && is_word('_'));
        assert!(!is_word('\u{93f}') && !is_word('\u{301}') && !is_word('-') && !is_word('Ⓐ'));
    }

    #[test]
    fn case_is_that_of_the_whole_text() {
        assert!(is_upper("USA 1,000!") && !is_upper("1,000") && !is_upper("UsA"));
        assert!(is_lower("usa") && !is_lower("ǆǅ") && !is_upper("Ǆǅ"));
    }
}
