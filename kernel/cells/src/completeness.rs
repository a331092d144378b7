use offmodel_events::completion::Completeness;

use crate::parse;

/// Tells line-by-line front ends whether to run a text or to ask for another line.
pub fn completeness(source: &str) -> Completeness {
    match open_delimiters(source) {
        Delimiters::Open(depth) => Completeness::Incomplete {
            indent: "    ".repeat(depth),
        },
        Delimiters::Mismatched => Completeness::Invalid,
        Delimiters::Balanced if ends_in_continuation(source) => Completeness::Incomplete {
            indent: "    ".to_owned(),
        },
        Delimiters::Balanced => match parse(source) {
            Ok(_) => Completeness::Complete,
            Err(error) if error.at_end => Completeness::Incomplete {
                indent: String::new(),
            },
            Err(_) => Completeness::Invalid,
        },
    }
}

enum Delimiters {
    Balanced,
    Open(usize),
    Mismatched,
}

/// Scans brackets, strings and comments; an unclosed string or comment counts as open.
fn open_delimiters(source: &str) -> Delimiters {
    let mut stack = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            match block_comment(rest) {
                Some(length) => length,
                None => return Delimiters::Open(stack.len()),
            }
        } else if let Some(length) = literal(rest) {
            match length {
                Some(length) => length,
                None => return Delimiters::Open(stack.len()),
            }
        } else {
            match first {
                '(' => stack.push(')'),
                '[' => stack.push(']'),
                '{' => stack.push('}'),
                ')' | ']' | '}' if stack.pop() != Some(first) => return Delimiters::Mismatched,
                _ => {}
            }
            word_or_character(rest)
        };
        rest = &rest[skipped..];
    }
    if stack.is_empty() {
        Delimiters::Balanced
    } else {
        Delimiters::Open(stack.len())
    }
}

/// The length of the nested block comment at the start, `None` if it does not end.
fn block_comment(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = 0;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => {
                depth += 1;
                at += 2;
            }
            b"*/" => {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => at += 1,
        }
    }
    None
}

/// If a string or character literal starts here: its length, or `Some(None)` if it does not end.
fn literal(text: &str) -> Option<Option<usize>> {
    let prefix = ["br", "cr", "b", "c", "r", ""].into_iter().find(|prefix| {
        text.strip_prefix(prefix).is_some_and(|rest| {
            let raw = prefix.ends_with('r');
            let opening = if raw {
                rest.trim_start_matches('#')
            } else {
                rest
            };
            opening.starts_with('"')
        })
    });
    if let Some(prefix) = prefix {
        let body = &text[prefix.len()..];
        return Some(
            if prefix.ends_with('r') {
                raw_string(body)
            } else {
                quoted(body, '"')
            }
            .map(|length| length + prefix.len()),
        );
    }
    // 'a' and '\n' are characters, 'a without a closing quote is a lifetime.
    let rest = text.strip_prefix('\'')?;
    let mut characters = rest.chars();
    match (characters.next()?, characters.next()) {
        ('\\', _) => Some(quoted(text, '\'')),
        (character, Some('\'')) => Some(Some(2 + character.len_utf8())),
        _ => None,
    }
}

fn raw_string(text: &str) -> Option<usize> {
    let hashes = text.len() - text.trim_start_matches('#').len();
    let closing = format!("\"{}", "#".repeat(hashes));
    let start = hashes + 1;
    text[start..]
        .find(&closing)
        .map(|end| start + end + closing.len())
}

fn quoted(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in text.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return Some(at + quote.len_utf8()),
            _ => {}
        }
    }
    None
}

/// The length of the identifier at the start, or of one character: a literal's prefix inside a
/// longer word (`arbor"`) is no prefix.
fn word_or_character(text: &str) -> usize {
    let word = text
        .find(|character: char| !(character.is_alphanumeric() || character == '_'))
        .unwrap_or(text.len());
    if word > 0 {
        word
    } else {
        text.chars().next().map_or(0, char::len_utf8)
    }
}

/// An operator or `else` at the end wants a right-hand side.
fn ends_in_continuation(source: &str) -> bool {
    let last = source.trim_end().lines().last().unwrap_or_default();
    let code = last.split("//").next().unwrap_or_default().trim_end();
    [
        "=", "+", "-", "*", "/", "&&", "||", ".", ",", "=>", "->", " else",
    ]
    .iter()
    .any(|ending| code.ends_with(ending))
        && parse(source).is_err()
}
