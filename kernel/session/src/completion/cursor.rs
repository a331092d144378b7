//! What the cursor is at in a cell that is still being typed.
//!
//! Such a text is seldom Rust: brackets are open and the last word is incomplete. So it is read as
//! tokens, with brackets matched as far as they go.

use offmodel_cells::lexer::{Lexed, TextEnd, Token, TokenKind, closing_bracket, lex};

/// The syntactic position of the word before the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CursorTarget<'a> {
    /// A field or method of the expression `receiver`, which starts at the byte `start` of the cell.
    Member { receiver: &'a str, start: usize },
    /// A name after `path::`.
    Path { path: &'a str },
    /// Text inside a string literal.
    StringLiteral,
    /// A name by itself.
    Name,
    /// Nothing that can be completed: text in a comment, or after a dot without an expression.
    Nothing,
}

/// The text before the cursor.
#[derive(Debug)]
pub(super) struct TextBeforeCursor<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    end: TextEnd,
    /// In bytes.
    word_start: usize,
}

impl<'a> TextBeforeCursor<'a> {
    /// Splits the part of a cell before `cursor`, a byte offset, into tokens.
    pub(super) fn new(source: &'a str, cursor: usize) -> Self {
        let text = &source[..source.floor_char_boundary(cursor)];
        let Lexed { tokens, end } = lex(text);
        let is_word = |character: char| character.is_alphanumeric() || character == '_';
        let word_start = match end {
            TextEnd::StringLiteral { content_start } => content_start,
            _ => text.trim_end_matches(is_word).len(),
        };
        Self {
            text,
            tokens,
            end,
            word_start,
        }
    }

    /// The first byte of the word.
    pub(super) fn word_start(&self) -> usize {
        self.word_start
    }

    /// The word that ends at the cursor; in a string literal, its content up to the cursor.
    pub(super) fn word(&self) -> &'a str {
        &self.text[self.word_start..]
    }

    /// The whole text before the cursor.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    /// The byte after the name of the function in whose arguments the cursor is.
    pub(super) fn called_function(&self) -> Option<usize> {
        let mut closed_brackets = 0;
        for (index, token) in self.tokens.iter().enumerate().rev() {
            match token.kind {
                TokenKind::Close { .. } => closed_brackets += 1,
                TokenKind::Open(_) if closed_brackets > 0 => closed_brackets -= 1,
                TokenKind::Open('(') => {
                    let name = self.tokens.get(index.checked_sub(1)?)?;
                    return (name.kind == TokenKind::Word).then_some(name.end);
                }
                TokenKind::Open(_) => return None,
                TokenKind::Word | TokenKind::Punctuation(_) => {}
            }
        }
        None
    }

    /// Determines what the word is.
    pub(super) fn target(&self) -> CursorTarget<'a> {
        match self.end {
            TextEnd::LineComment | TextEnd::BlockComment => return CursorTarget::Nothing,
            TextEnd::StringLiteral { .. } => return CursorTarget::StringLiteral,
            TextEnd::Code => {}
        }
        let before = self
            .tokens
            .iter()
            .rposition(|token| token.end <= self.word_start);
        let Some(last) = before else {
            return CursorTarget::Name;
        };
        let kind_of = |back: usize| {
            let index = last.checked_sub(back)?;
            Some(self.tokens.get(index)?.kind)
        };
        match kind_of(0) {
            Some(TokenKind::Punctuation('.'))
                if kind_of(1) != Some(TokenKind::Punctuation('.')) =>
            {
                let Some(start) = last
                    .checked_sub(1)
                    .and_then(|index| self.expression_start(index))
                else {
                    return CursorTarget::Nothing;
                };
                CursorTarget::Member {
                    receiver: self.text[start..self.tokens[last].start].trim_end(),
                    start,
                }
            }
            Some(TokenKind::Punctuation(':'))
                if kind_of(1) == Some(TokenKind::Punctuation(':')) =>
            {
                let end = self.tokens[last - 1].start;
                let is_path =
                    |character: char| character.is_alphanumeric() || "_:".contains(character);
                let start = self.text[..end].trim_end_matches(is_path).len();
                CursorTarget::Path {
                    path: &self.text[start..end],
                }
            }
            _ => CursorTarget::Name,
        }
    }

    /// The brackets that close all brackets that are open at the byte `at`.
    pub(super) fn closing_brackets(&self, at: usize) -> String {
        let mut open = Vec::new();
        for token in self.tokens.iter().take_while(|token| token.end <= at) {
            match token.kind {
                TokenKind::Open(bracket) => open.push(bracket),
                TokenKind::Close { .. } => {
                    open.pop();
                }
                TokenKind::Word | TokenKind::Punctuation(_) => {}
            }
        }
        open.into_iter().rev().map(closing_bracket).collect()
    }

    /// The first byte of the expression that ends with the token `last`: the start of a chain of
    /// calls, fields, indices and paths. None if no expression ends there.
    fn expression_start(&self, last: usize) -> Option<usize> {
        let mut index = last;
        loop {
            let previous = index.checked_sub(1).map(|index| self.tokens[index]);
            let is_behind = |kind| previous.is_some_and(|token| token.kind == kind);
            match self.tokens[index].kind {
                TokenKind::Punctuation('?') => index = index.checked_sub(1)?,
                TokenKind::Close { opener, .. } => {
                    index = opener?;
                    // A call, an index or a macro belongs to the expression before the bracket.
                    let called = index.checked_sub(1).map(|index| self.tokens[index].kind);
                    match called {
                        Some(TokenKind::Word) if !self.is_keyword(index - 1) => index -= 1,
                        Some(TokenKind::Close { .. } | TokenKind::Punctuation('?' | '!' | '>')) => {
                            index -= 1
                        }
                        _ => return Some(self.tokens[index].start),
                    }
                }
                TokenKind::Punctuation('!') => index = index.checked_sub(1)?,
                TokenKind::Punctuation('>') => index = self.before_generic_arguments(index)?,
                TokenKind::Word if is_behind(TokenKind::Punctuation('.')) => {
                    index = index.checked_sub(2)?
                }
                TokenKind::Word if is_behind(TokenKind::Punctuation(':')) => {
                    // Continue from `b` to `a` in `a::b`, but not in `let a: b`.
                    let doubled = index.checked_sub(2).map(|index| self.tokens[index].kind);
                    match doubled {
                        Some(TokenKind::Punctuation(':')) if index >= 3 => index -= 3,
                        _ => return Some(self.tokens[index].start),
                    }
                }
                TokenKind::Word => return Some(self.tokens[index].start),
                TokenKind::Open(_) | TokenKind::Punctuation(_) => return None,
            }
        }
    }

    /// The index of the token before `::<...>`, given that of the `>`.
    fn before_generic_arguments(&self, closing: usize) -> Option<usize> {
        let mut depth = 0;
        for index in (0..=closing).rev() {
            match self.tokens[index].kind {
                TokenKind::Punctuation('>') => depth += 1,
                TokenKind::Punctuation('<') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return index.checked_sub(3);
            }
        }
        None
    }

    fn is_keyword(&self, index: usize) -> bool {
        let Token { start, end, .. } = self.tokens[index];
        matches!(
            &self.text[start..end],
            "if" | "in" | "match" | "return" | "while" | "else" | "move" | "let" | "mut"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The target and the word at the cursor, which is marked by `|`.
    fn target(marked: &str) -> (CursorTarget<'_>, &str) {
        let cursor = marked.find('|').unwrap();
        let before = TextBeforeCursor::new(marked, cursor);
        (before.target(), before.word())
    }

    fn receiver(marked: &str) -> &str {
        match target(marked).0 {
            CursorTarget::Member { receiver, .. } => receiver,
            other => panic!("{marked}: {other:?}"),
        }
    }

    #[test]
    fn the_expression_before_a_dot_is_the_whole_chain() {
        assert_eq!(receiver("let a = frame.he|"), "frame");
        assert_eq!(
            receiver("frame.clone().lazy()\n    .filter(col(\"a\").gt(1)).|"),
            "frame.clone().lazy()\n    .filter(col(\"a\").gt(1))"
        );
        assert_eq!(receiver("x + df![\"a\" => [1]]?.|"), "df![\"a\" => [1]]?");
        assert_eq!(receiver("f(a, values[0].na|"), "values[0]");
        assert_eq!(receiver("if (a + b).|"), "(a + b)");
        assert_eq!(
            receiver("iter.collect::<Vec<f64>>().|"),
            "iter.collect::<Vec<f64>>()"
        );
        assert_eq!(receiver("Vec::<f64>::new().|"), "Vec::<f64>::new()");
        assert_eq!(receiver("1.5.|"), "1.5");
        assert_eq!(receiver("'x'.|"), "'x'");
        assert_eq!(receiver("fetch(url).await?.|"), "fetch(url).await?");
    }

    #[test]
    fn paths_names_strings_and_comments_are_distinguished() {
        let path = |path| CursorTarget::Path { path };
        assert_eq!(
            target("let m: std::collections::Ha|"),
            (path("std::collections"), "Ha")
        );
        assert_eq!(target("DataFrame::|"), (path("DataFrame"), ""));
        assert_eq!(target("let total = lin|"), (CursorTarget::Name, "lin"));
        assert_eq!(target("|"), (CursorTarget::Name, ""));
        assert_eq!(target("for i in 0..n|"), (CursorTarget::Name, "n"));
        assert_eq!(target("col(\"sco|"), (CursorTarget::StringLiteral, "sco"));
        assert_eq!(target("r#\"a\"b|"), (CursorTarget::StringLiteral, "a\"b"));
        assert_eq!(target("x // frame.|").0, CursorTarget::Nothing);
        assert_eq!(target("/* a /* b */ frame.|").0, CursorTarget::Nothing);
        assert_eq!(target("let s: &'a str = na|"), (CursorTarget::Name, "na"));
    }

    #[test]
    fn the_function_around_the_cursor_is_found() {
        let text = "frame.head(Some(3), ";
        assert_eq!(
            TextBeforeCursor::new(text, text.len()).called_function(),
            Some("frame.head".len())
        );
        assert_eq!(TextBeforeCursor::new("(1, ", 4).called_function(), None);
    }

    #[test]
    fn open_brackets_are_closed() {
        let text = "for t in &trials { println!(\"{}\", t.";
        let before = TextBeforeCursor::new(text, text.len());
        assert_eq!(before.closing_brackets(text.len()), ")}");
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(text in r#"[a-z0-9_.:;<>(){}\[\]"'\\/*#!? é\n]{0,60}"#, cursor in 0usize..70) {
            let before = TextBeforeCursor::new(&text, cursor);
            before.target();
            before.closing_brackets(cursor);
        }
    }
}
