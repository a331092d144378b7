//! What stands before the cursor in a cell that is still being written.
//!
//! Such a text is seldom Rust: brackets are open, the last word is half there. So it is read as
//! a row of tokens with brackets matched as far as they are.

/// What a completion, or a question about a name, is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// Behind the dot of this expression, whose text starts at a byte of the cell.
    Member { receiver: &'a str, start: usize },
    /// Behind the `::` of this path.
    Path { path: &'a str },
    /// Inside the quotes of a string literal.
    Literal,
    /// A name by itself.
    Name,
    /// In a comment.
    Nowhere,
}

/// The text before the cursor.
#[derive(Debug)]
pub(crate) struct Before<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    /// Start of the word that the cursor ends, in bytes.
    pub word_start: usize,
    end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Code,
    /// In a string that began at this byte.
    Literal(usize),
    Comment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token {
    kind: Kind,
    start: usize,
    end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A name, a number or a literal.
    Word,
    Open(char),
    /// With the index of the token that opened it.
    Close(Option<usize>),
    Sign(char),
}

impl<'a> Before<'a> {
    /// Reads the part of a cell before `cursor`, a byte offset.
    pub fn new(source: &'a str, cursor: usize) -> Self {
        let text = &source[..source.floor_char_boundary(cursor)];
        let (tokens, end) = tokens(text);
        let word = |character: char| character.is_alphanumeric() || character == '_';
        let word_start = match end {
            End::Literal(start) => start,
            _ => text.trim_end_matches(word).len(),
        };
        Self {
            text,
            tokens,
            word_start,
            end,
        }
    }

    /// The word that the cursor ends, or the part of the string before it.
    pub fn word(&self) -> &'a str {
        &self.text[self.word_start..]
    }

    /// All of the text before the cursor.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The end of the name of the function in whose arguments the cursor is.
    pub fn called(&self) -> Option<usize> {
        let mut closed = 0;
        for (index, token) in self.tokens.iter().enumerate().rev() {
            match token.kind {
                Kind::Close(_) => closed += 1,
                Kind::Open(_) if closed > 0 => closed -= 1,
                Kind::Open('(') => {
                    let name = self.tokens.get(index.checked_sub(1)?)?;
                    return (name.kind == Kind::Word).then_some(name.end);
                }
                Kind::Open(_) => return None,
                Kind::Word | Kind::Sign(_) => {}
            }
        }
        None
    }

    /// What that word is.
    pub fn place(&self) -> Place<'a> {
        match self.end {
            End::Comment => return Place::Nowhere,
            End::Literal(_) => return Place::Literal,
            End::Code => {}
        }
        let before = self
            .tokens
            .iter()
            .rposition(|token| token.end <= self.word_start);
        let Some(last) = before else {
            return Place::Name;
        };
        let sign = |back: usize| {
            let index = last.checked_sub(back)?;
            Some(self.tokens.get(index)?.kind)
        };
        match sign(0) {
            Some(Kind::Sign('.')) if sign(1) != Some(Kind::Sign('.')) => {
                let Some(start) = last.checked_sub(1).and_then(|index| self.receiver(index)) else {
                    return Place::Nowhere;
                };
                Place::Member {
                    receiver: self.text[start..self.tokens[last].start].trim_end(),
                    start,
                }
            }
            Some(Kind::Sign(':')) if sign(1) == Some(Kind::Sign(':')) => {
                let end = self.tokens[last - 1].start;
                let part =
                    |character: char| character.is_alphanumeric() || "_:".contains(character);
                let path = self.text[..end].trim_end_matches(part).len();
                Place::Path {
                    path: &self.text[path..end],
                }
            }
            _ => Place::Name,
        }
    }

    /// What closes every bracket that is open at the byte `at`.
    pub fn closers(&self, at: usize) -> String {
        let mut open = Vec::new();
        for token in self.tokens.iter().take_while(|token| token.end <= at) {
            match token.kind {
                Kind::Open(bracket) => open.push(bracket),
                Kind::Close(_) => {
                    open.pop();
                }
                Kind::Word | Kind::Sign(_) => {}
            }
        }
        let closing = open.into_iter().rev().map(|bracket| match bracket {
            '(' => ')',
            '[' => ']',
            _ => '}',
        });
        closing.collect()
    }

    /// Where the expression starts that ends with the token `last`: calls, fields, indices and
    /// paths go back as far as they are joined.
    fn receiver(&self, last: usize) -> Option<usize> {
        let mut index = last;
        loop {
            let previous = index.checked_sub(1).map(|index| self.tokens[index]);
            let joined = |kind| previous.is_some_and(|token| token.kind == kind);
            match self.tokens[index].kind {
                Kind::Sign('?') => index = index.checked_sub(1)?,
                Kind::Close(open) => {
                    index = open?;
                    // A call, an index or a macro continues what stands before the bracket.
                    let called = index.checked_sub(1).map(|index| self.tokens[index].kind);
                    match called {
                        Some(Kind::Word) if !self.is_keyword(index - 1) => index -= 1,
                        Some(Kind::Close(_) | Kind::Sign('?' | '!' | '>')) => index -= 1,
                        _ => return Some(self.tokens[index].start),
                    }
                }
                Kind::Sign('!') => index = index.checked_sub(1)?,
                Kind::Sign('>') => index = self.before_arguments(index)?,
                Kind::Word if joined(Kind::Sign('.')) => index = index.checked_sub(2)?,
                Kind::Word if joined(Kind::Sign(':')) => {
                    // `a::b`, but not the type in `let a: b`.
                    let doubled = index.checked_sub(2).map(|index| self.tokens[index].kind);
                    match doubled {
                        Some(Kind::Sign(':')) if index >= 3 => index -= 3,
                        _ => return Some(self.tokens[index].start),
                    }
                }
                Kind::Word => return Some(self.tokens[index].start),
                Kind::Open(_) | Kind::Sign(_) => return None,
            }
        }
    }

    /// The token before `::<...>`, given that of its `>`.
    fn before_arguments(&self, closing: usize) -> Option<usize> {
        let mut depth = 0;
        for index in (0..=closing).rev() {
            match self.tokens[index].kind {
                Kind::Sign('>') => depth += 1,
                Kind::Sign('<') => depth -= 1,
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

fn tokens(text: &str) -> (Vec<Token>, End) {
    let mut tokens: Vec<Token> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let rest = &text[at..];
        let mut kind = None;
        let length = if rest.starts_with("//") {
            match rest.find('\n') {
                Some(length) => length,
                None => return (tokens, End::Comment),
            }
        } else if rest.starts_with("/*") {
            match block_comment(rest) {
                Some(length) => length,
                None => return (tokens, End::Comment),
            }
        } else if let Some((opening, closing)) = string_start(rest) {
            kind = Some(Kind::Word);
            match string_length(rest, opening, &closing) {
                Some(length) => length,
                None => return (tokens, End::Literal(at + opening)),
            }
        } else if let Some(length) = character_literal(rest) {
            kind = Some(Kind::Word);
            length
        } else if character.is_alphanumeric() || character == '_' {
            kind = Some(Kind::Word);
            word_length(rest)
        } else {
            kind = match character {
                '(' | '[' | '{' => {
                    open.push(tokens.len());
                    Some(Kind::Open(character))
                }
                ')' | ']' | '}' => Some(Kind::Close(open.pop())),
                _ if character.is_whitespace() => None,
                _ => Some(Kind::Sign(character)),
            };
            character.len_utf8()
        };
        if let Some(kind) = kind {
            let (start, end) = (at, at + length);
            tokens.push(Token { kind, start, end });
        }
        at += length;
    }
    (tokens, End::Code)
}

/// A name, or a number: `1.5` is one word, `1.max(2)` and `0..3` are not.
fn word_length(rest: &str) -> usize {
    let word = |character: char| character.is_alphanumeric() || character == '_';
    let length = rest
        .find(|character| !word(character))
        .unwrap_or(rest.len());
    let fraction = rest[length..].strip_prefix('.').unwrap_or_default();
    if rest.starts_with(|first: char| first.is_ascii_digit())
        && fraction.starts_with(|first: char| first.is_ascii_digit())
    {
        let digits = fraction.find(|character| !word(character));
        return length + 1 + digits.unwrap_or(fraction.len());
    }
    length
}

/// Comments nest.
fn block_comment(rest: &str) -> Option<usize> {
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

/// The length of what opens a string here, and what closes it.
fn string_start(rest: &str) -> Option<(usize, String)> {
    let prefix = ["br", "cr", "b", "c", "r", ""].iter().find(|prefix| {
        let after = rest.strip_prefix(**prefix);
        after.is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = rest[prefix.len()..].find('"')?;
    // `#"` without an `r` is no string but an attribute of something else.
    if hashes > 0 && !prefix.ends_with('r') {
        return None;
    }
    let closing = if prefix.ends_with('r') {
        format!("\"{}", "#".repeat(hashes))
    } else {
        "\\\"".to_owned()
    };
    Some((prefix.len() + hashes + 1, closing))
}

/// The length of a string with its quotes. `closing` is `\"` for one with escapes.
fn string_length(rest: &str, opening: usize, closing: &str) -> Option<usize> {
    if closing != "\\\"" {
        return Some(opening + rest[opening..].find(closing)? + closing.len());
    }
    let mut escaped = false;
    for (at, character) in rest[opening..].char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(opening + at + 1),
            _ => {}
        }
    }
    None
}

/// `'a'` and `'\n'`, but not the lifetime `'a`.
fn character_literal(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    if let Some(escape) = inner.strip_prefix('\\') {
        let escaped = escape.chars().next()?.len_utf8();
        let end = escape.get(escaped..)?.find('\'')?;
        // The longest is `\u{10ffff}`.
        return (end <= 8).then_some(2 + escaped + end + 1);
    }
    let character = inner.chars().next()?;
    let length = character.len_utf8();
    inner[length..].starts_with('\'').then_some(length + 2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The place of the cursor, `|`, and the word there.
    fn place(marked: &str) -> (Place<'_>, &str) {
        let cursor = marked.find('|').unwrap();
        let before = Before::new(marked, cursor);
        (before.place(), before.word())
    }

    fn receiver(marked: &str) -> &str {
        match place(marked).0 {
            Place::Member { receiver, .. } => receiver,
            other => panic!("{marked}: {other:?}"),
        }
    }

    #[test]
    fn the_expression_before_a_dot_goes_back_as_far_as_it_is_joined() {
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
    fn paths_names_strings_and_comments_are_told_apart() {
        let path = |path| Place::Path { path };
        assert_eq!(
            place("let m: std::collections::Ha|"),
            (path("std::collections"), "Ha")
        );
        assert_eq!(place("DataFrame::|"), (path("DataFrame"), ""));
        assert_eq!(place("let total = lin|"), (Place::Name, "lin"));
        assert_eq!(place("|"), (Place::Name, ""));
        assert_eq!(place("for i in 0..n|"), (Place::Name, "n"));
        assert_eq!(place("col(\"sco|"), (Place::Literal, "sco"));
        assert_eq!(place("r#\"a\"b|"), (Place::Literal, "a\"b"));
        assert_eq!(place("x // frame.|").0, Place::Nowhere);
        assert_eq!(place("/* a /* b */ frame.|").0, Place::Nowhere);
        assert_eq!(place("let s: &'a str = na|"), (Place::Name, "na"));
    }

    #[test]
    fn inside_arguments_the_function_is_known() {
        let text = "frame.head(Some(3), ";
        assert_eq!(
            Before::new(text, text.len()).called(),
            Some("frame.head".len())
        );
        assert_eq!(Before::new("(1, ", 4).called(), None);
    }

    #[test]
    fn open_brackets_are_closed() {
        let text = "for t in &trials { println!(\"{}\", t.";
        let before = Before::new(text, text.len());
        assert_eq!(before.closers(text.len()), ")}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in r#"[a-z0-9_.:;<>(){}\[\]"'\\/*#!? é\n]{0,60}"#, cursor in 0usize..70) {
            let before = Before::new(&text, cursor);
            before.place();
            before.closers(cursor);
        }
    }
}
