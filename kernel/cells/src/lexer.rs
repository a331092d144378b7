//! A lexer for cells that are still being typed.
//!
//! `syn` rejects text with an open bracket or string, which is what a cell looks like while
//! somebody types it. This lexer accepts every text: brackets are matched as far as they go, and
//! the text may end inside a string or a comment.

/// The tokens of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lexed {
    /// The tokens, in order. White space and comments are not among them.
    pub tokens: Vec<Token>,
    /// Where the text ends.
    pub end: TextEnd,
}

/// Where a text ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextEnd {
    /// Outside of strings and comments.
    Code,
    /// In a string literal that is not closed.
    StringLiteral {
        /// Byte offset of the first character after the opening quote.
        content_start: usize,
    },
    /// In a `//` comment on the last line.
    LineComment,
    /// In a `/*` comment that is not closed.
    BlockComment,
}

/// One token, as a byte range of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// The kind of token.
    pub kind: TokenKind,
    /// Its first byte.
    pub start: usize,
    /// The byte after its last one.
    pub end: usize,
}

/// The kinds of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A name, a keyword, a number, or a string or character literal.
    Word,
    /// An opening bracket.
    Open(char),
    /// A closing bracket.
    Close {
        /// The bracket itself.
        bracket: char,
        /// Index of the innermost token that was still open, even if it is a bracket of another kind.
        opener: Option<usize>,
    },
    /// One character of punctuation: `::` is two tokens.
    Punctuation(char),
}

/// Splits a text into tokens.
pub fn lex(text: &str) -> Lexed {
    let mut tokens: Vec<Token> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let mut kind = None;
        let length = if rest.starts_with("//") {
            match rest.find('\n') {
                Some(length) => length,
                None => {
                    return Lexed {
                        tokens,
                        end: TextEnd::LineComment,
                    };
                }
            }
        } else if rest.starts_with("/*") {
            match block_comment_length(rest) {
                Some(length) => length,
                None => {
                    return Lexed {
                        tokens,
                        end: TextEnd::BlockComment,
                    };
                }
            }
        } else if let Some(opening) = StringOpening::parse(rest) {
            kind = Some(TokenKind::Word);
            match opening.literal_length(rest) {
                Some(length) => length,
                None => {
                    let content_start = at + opening.length;
                    return Lexed {
                        tokens,
                        end: TextEnd::StringLiteral { content_start },
                    };
                }
            }
        } else if let Some(length) = character_literal_length(rest) {
            kind = Some(TokenKind::Word);
            length
        } else if is_word_character(character) {
            kind = Some(TokenKind::Word);
            word_length(rest)
        } else {
            kind = match character {
                '(' | '[' | '{' => {
                    open.push(tokens.len());
                    Some(TokenKind::Open(character))
                }
                ')' | ']' | '}' => Some(TokenKind::Close {
                    bracket: character,
                    opener: open.pop(),
                }),
                _ if character.is_whitespace() => None,
                _ => Some(TokenKind::Punctuation(character)),
            };
            character.len_utf8()
        };
        if let Some(kind) = kind {
            let (start, end) = (at, at + length);
            tokens.push(Token { kind, start, end });
        }
        at += length;
    }
    Lexed {
        tokens,
        end: TextEnd::Code,
    }
}

/// The bracket that closes `bracket`.
pub fn closing_bracket(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The length of a name or number: `1.5` is one word, but `1.max(2)` and `0..3` are not.
fn word_length(rest: &str) -> usize {
    let length = rest
        .find(|character| !is_word_character(character))
        .unwrap_or(rest.len());
    let fraction = rest[length..].strip_prefix('.').unwrap_or_default();
    let is_digit = |first: char| first.is_ascii_digit();
    if rest.starts_with(is_digit) && fraction.starts_with(is_digit) {
        let digits = fraction.find(|character| !is_word_character(character));
        return length + 1 + digits.unwrap_or(fraction.len());
    }
    length
}

/// The length of the block comment at the start, none if it is not closed. Block comments nest.
fn block_comment_length(rest: &str) -> Option<usize> {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

/// The opening of a string literal: `"`, `b"`, `r#"`.
struct StringOpening {
    /// In bytes, up to and including the quote.
    length: usize,
    /// The text that closes a raw string; none for a string with escapes.
    raw_closing: Option<String>,
}

impl StringOpening {
    /// Reads the opening at the start of `rest`, if a string literal starts there.
    fn parse(rest: &str) -> Option<Self> {
        let prefix = ["br", "cr", "b", "c", "r", ""].iter().find(|prefix| {
            let after = rest.strip_prefix(**prefix);
            after.is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
        })?;
        let hashes = rest[prefix.len()..].find('"')?;
        let is_raw = prefix.ends_with('r');
        // `#"` without an `r`: the `#` is punctuation of its own.
        if hashes > 0 && !is_raw {
            return None;
        }
        Some(Self {
            length: prefix.len() + hashes + 1,
            raw_closing: is_raw.then(|| format!("\"{}", "#".repeat(hashes))),
        })
    }

    /// The length of the whole literal, none if it is not closed.
    fn literal_length(&self, rest: &str) -> Option<usize> {
        let content = &rest[self.length..];
        if let Some(closing) = &self.raw_closing {
            return Some(self.length + content.find(closing)? + closing.len());
        }
        let mut is_escaped = false;
        for (at, character) in content.char_indices() {
            match character {
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                '"' => return Some(self.length + at + 1),
                _ => {}
            }
        }
        None
    }
}

/// The length of a character literal such as `'a'` or `'\n'`; none for the lifetime `'a`.
fn character_literal_length(rest: &str) -> Option<usize> {
    /// Bytes between the first character of an escape and the closing quote: `{10ffff}` of
    /// `'\u{10ffff}'`.
    const MAX_ESCAPE_BYTES: usize = 8;
    let inner = rest.strip_prefix('\'')?;
    if let Some(escape) = inner.strip_prefix('\\') {
        let first = escape.chars().next()?.len_utf8();
        let remaining = escape.get(first..)?.find('\'')?;
        return (remaining <= MAX_ESCAPE_BYTES).then_some(2 + first + remaining + 1);
    }
    let character = inner.chars().next()?;
    let length = character.len_utf8();
    inner[length..].starts_with('\'').then_some(length + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<&str> {
        let tokens = lex(text).tokens.into_iter();
        let words = tokens.filter(|token| token.kind == TokenKind::Word);
        words.map(|token| &text[token.start..token.end]).collect()
    }

    #[test]
    fn literals_and_numbers_are_one_word_each() {
        assert_eq!(
            words(r##"f('a', '\n', '\'', b"x\"y", r#"a " b"#, 1.5, 0..3, 'static)"##),
            [
                "f",
                "'a'",
                r"'\n'",
                r"'\''",
                r#"b"x\"y""#,
                r##"r#"a " b"#"##,
                "1.5",
                "0",
                "3",
                "static"
            ]
        );
    }

    #[test]
    fn a_prefix_inside_a_longer_word_opens_no_raw_string() {
        assert_eq!(words("arbor\"a\""), ["arbor", "\"a\""]);
    }

    #[test]
    fn the_end_of_the_text_is_recognised() {
        let end = |text| lex(text).end;
        assert_eq!(end("let x = 1;"), TextEnd::Code);
        assert_eq!(end("col(\"sc"), TextEnd::StringLiteral { content_start: 5 });
        assert_eq!(end("r#\"a\"b"), TextEnd::StringLiteral { content_start: 3 });
        assert_eq!(end("x // note"), TextEnd::LineComment);
        assert_eq!(end("/* a /* b */ c"), TextEnd::BlockComment);
    }

    #[test]
    fn a_closing_bracket_refers_to_the_token_that_opened_it() {
        let closers: Vec<_> = lex("f(a[0]) }")
            .tokens
            .into_iter()
            .filter_map(|token| match token.kind {
                TokenKind::Close { bracket, opener } => Some((bracket, opener)),
                _ => None,
            })
            .collect();
        assert_eq!(closers, [(']', Some(3)), (')', Some(1)), ('}', None)]);
    }

    proptest! {
        #[test]
        fn tokens_are_ordered_ranges_of_any_text(text in "\\PC*") {
            let mut end = 0;
            for token in lex(&text).tokens {
                prop_assert!(token.start >= end && text.get(token.start..token.end).is_some());
                end = token.end;
            }
        }
    }
}
