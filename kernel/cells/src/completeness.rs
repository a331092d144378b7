//! Whether a text is a whole cell, or the user is about to type another line.

use offmodel_events::completion::Completeness;

use crate::cell::parse;
use crate::lexer::{Lexed, TextEnd, TokenKind, closing_bracket, lex};

const INDENT: &str = "    ";

/// Decides whether a line-by-line front end, such as Jupyter's console, runs a text or asks for
/// another line.
pub fn completeness(source: &str) -> Completeness {
    match brackets(source) {
        Brackets::Open { depth } => Completeness::Incomplete {
            indent: INDENT.repeat(depth),
        },
        Brackets::Mismatched => Completeness::Invalid,
        Brackets::Balanced if ends_in_operator(source) => Completeness::Incomplete {
            indent: INDENT.to_owned(),
        },
        Brackets::Balanced => match parse(source) {
            Ok(_) => Completeness::Complete,
            Err(error) if error.at_end => Completeness::Incomplete {
                indent: String::new(),
            },
            Err(_) => Completeness::Invalid,
        },
    }
}

enum Brackets {
    Balanced,
    /// Brackets, a string or a block comment are not closed; `depth` counts the brackets.
    Open {
        depth: usize,
    },
    Mismatched,
}

fn brackets(source: &str) -> Brackets {
    let Lexed { tokens, end } = lex(source);
    let mut expected = Vec::new();
    for token in &tokens {
        match token.kind {
            TokenKind::Open(bracket) => expected.push(closing_bracket(bracket)),
            TokenKind::Close { bracket, .. } if expected.pop() != Some(bracket) => {
                return Brackets::Mismatched;
            }
            TokenKind::Close { .. } | TokenKind::Word | TokenKind::Punctuation(_) => {}
        }
    }
    let depth = expected.len();
    match end {
        TextEnd::Code | TextEnd::LineComment if depth == 0 => Brackets::Balanced,
        _ => Brackets::Open { depth },
    }
}

/// Whether the last line ends in an operator or `else`, which need a right-hand side.
///
/// The parser decides in the end: `x as f64 / 2.` ends in a dot and is complete.
fn ends_in_operator(source: &str) -> bool {
    let last = source.trim_end().lines().last().unwrap_or_default();
    let code = last.split("//").next().unwrap_or_default().trim_end();
    [
        "=", "+", "-", "*", "/", "&&", "||", ".", ",", "=>", "->", " else",
    ]
    .iter()
    .any(|ending| code.ends_with(ending))
        && parse(source).is_err()
}
