//! Words of English text as `nltk.word_tokenize` of nltk 3.9 finds them: Punkt's sentences, each
//! split by the rules of the Penn Treebank as `NLTKWordTokenizer` has them.
//!
//! The rules are substitutions that put spaces around what becomes a word; their order matters.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use super::sentences::sentences;
use crate::python::characters::{is_space, is_word, is_word_boundary, split};
use crate::python::pattern::fold;

/// The words of a text.
pub fn words(text: &str) -> Vec<String> {
    let sentences = sentences(text);
    let words = sentences.iter().flat_map(|sentence| {
        let spaced = space_words(sentence);
        split(&spaced).map(str::to_owned).collect::<Vec<_>>()
    });
    words.collect()
}

/// A substitution without lookaround.
struct Rule {
    /// The rule applies only to a text with one of these characters. Testing this first spares most
    /// searches, because most sentences trigger few rules.
    triggers: &'static str,
    pattern: Regex,
    replacement: &'static str,
}

fn rules(rules: &[(&'static str, &str, &'static str)]) -> Vec<Rule> {
    let rule = |&(triggers, pattern, replacement): &(&'static str, &str, &'static str)| {
        #[expect(
            clippy::unwrap_used,
            reason = "constant patterns, all compiled by every test"
        )]
        let pattern = Regex::new(pattern).unwrap();
        Rule {
            triggers,
            pattern,
            replacement,
        }
    };
    rules.iter().map(rule).collect()
}

/// The characters of a text: a bit for each one of ASCII, and one for all others.
#[derive(Clone, Copy)]
struct Present(u128);

impl Present {
    /// U+0000 stands for all characters beyond ASCII: it triggers no rule itself.
    const OTHERS: u128 = 1;

    fn of(text: &str) -> Self {
        let bit = |byte: u8| match byte {
            0..128 => 1 << byte,
            _ => Self::OTHERS,
        };
        Self(text.bytes().fold(0, |bits, byte| bits | bit(byte)))
    }

    fn has_any(self, triggers: &str) -> bool {
        self.0 & Self::of(triggers).0 != 0
    }
}

fn apply(rules: &[Rule], mut text: String) -> String {
    let mut present = Present::of(&text);
    for rule in rules {
        if !present.has_any(rule.triggers) {
            continue;
        }
        if let Cow::Owned(changed) = rule.pattern.replace_all(&text, rule.replacement) {
            text = changed;
            present = Present::of(&text);
        }
    }
    text
}

static STARTING_QUOTES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        ("`«", "([«“‘„]|`+)", " ${1} "),
        ("\"", "^\"", "``"),
        ("`", "(``)", " ${1} "),
        ("\"'", "([ (\\[{<])(?:\"|'{2})", "${1} `` "),
    ])
});

static COMMAS_AND_DOTS: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        (":,", r"([:,])([^\d])", " ${1} ${2}"),
        (":,", r"([:,])(\n?)\z", " ${1} ${2}"),
        (".", r"(\.{2,})", " ${1} "),
        (";@#$%&", "([;@#$%&])", " ${1} "),
    ])
});

static MARKS_AND_BRACKETS: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        ("?!", "([?!])", " ${1} "),
        ("'", "([^'])' ", "${1} ' "),
        ("*", r"(\*)", " ${1} "),
        ("[](){}<>", r"([\]\[(){}<>])", " ${1} "),
        ("-", "(--)", " ${1} "),
    ])
});

static ENDING_QUOTES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        ("»", "([»”’])", " ${1} "),
        ("'", "''", " '' "),
        ("\"", "\"", " '' "),
    ])
});

static ENGLISH_ENDINGS: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    rules(&[
        ("'", "([^' ])('[sS]|'[mM]|'[dD]|') ", "${1} ${2} "),
        (
            "'",
            "([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ",
            "${1} ${2} ",
        ),
    ])
});

/// Puts spaces around the words of a sentence.
fn space_words(sentence: &str) -> String {
    let mut text = apply(&STARTING_QUOTES, sentence.to_owned());
    text = split_apostrophes(&text);
    text = space_final_period(
        &text,
        &[']', ')', '}', '>', '"', '\'', '»', '”', '’', ' '],
        " ",
    );
    text = apply(&COMMAS_AND_DOTS, text);
    text = space_final_period(&text, &[']', ')', '}', '>', '"', '\''], "");
    text = apply(&MARKS_AND_BRACKETS, text);
    text = apply(&ENDING_QUOTES, format!(" {text} "));
    text = apply(&ENGLISH_ENDINGS, single_spaces(&text));
    split_contractions(text)
}

/// `\s+` to a space.
fn single_spaces(text: &str) -> String {
    let mut single = String::with_capacity(text.len());
    for character in text.chars() {
        match is_space(character) {
            true if single.ends_with(' ') => {}
            true => single.push(' '),
            false => single.push(character),
        }
    }
    single
}

/// A space between an apostrophe and a single letter after it, unless the two are an ending of
/// English: `(?i)(\')(?!re|ve|ll|m|t|s|d|n)(\w)\b` to `\1 \2`. Of the endings only those of one
/// letter can stand before a word boundary.
fn split_apostrophes(text: &str) -> String {
    if !text.contains('\'') {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().collect();
    let mut spaced = String::with_capacity(text.len() + 8);
    for (index, &character) in characters.iter().enumerate() {
        spaced.push(character);
        let is_single_letter = character == '\''
            && characters.get(index + 1).is_some_and(|&letter| {
                is_word(letter) && !['m', 't', 's', 'd', 'n'].contains(&fold(letter))
            })
            && !characters.get(index + 2).is_some_and(|&next| is_word(next));
        if is_single_letter {
            spaced.push(' ');
        }
    }
    spaced
}

/// Spaces around the period at the end of a sentence, before closing punctuation:
/// `([^\.])(\.)([CLOSING]*)\s*$` to `\1 \2GAP\3 `.
fn space_final_period(text: &str, closing: &[char], gap: &str) -> String {
    let Some(period) = text.rfind('.') else {
        return text.to_owned();
    };
    let (before, after) = (&text[..period], &text[period + 1..]);
    let rest = after.trim_start_matches(closing);
    let is_final = rest.chars().all(is_space) && !before.is_empty() && !before.ends_with('.');
    if !is_final {
        return text.to_owned();
    }
    let marks = &after[..after.len() - rest.len()];
    format!("{before} .{gap}{marks} ")
}

/// Words that nltk splits into two (its `MacIntyreContractions`).
fn split_contractions(text: String) -> String {
    const PAIRS: [(&str, &str); 7] = [
        ("can", "not"),
        ("d", "'ye"),
        ("gim", "me"),
        ("gon", "na"),
        ("got", "ta"),
        ("lem", "me"),
        ("more", "'n"),
    ];
    // The shortest contraction has four letters.
    if text.len() < 4 {
        return text;
    }
    let mut characters: Vec<char> = text.chars().collect();
    for (first, second) in PAIRS {
        characters = split_pair(characters, first, second, Start::Word, End::Word);
    }
    characters = split_pair(characters, "wan", "na", Start::Word, End::Space);
    for second in ["is", "was"] {
        characters = split_pair(characters, "'t", second, Start::Space, End::Word);
    }
    characters.into_iter().collect()
}

/// What has to stand before a contraction.
#[derive(Clone, Copy, PartialEq)]
enum Start {
    Word,
    Space,
}

/// What has to stand after a contraction.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Word,
    Space,
}

fn split_pair(text: Vec<char>, first: &str, second: &str, start: Start, end: End) -> Vec<char> {
    let pattern: Vec<char> = first.chars().chain(second.chars()).map(fold).collect();
    let length = pattern.len();
    let occurs_at = |position: usize| {
        if fold(text[position]) != pattern[0] {
            return false;
        }
        let starts = match start {
            Start::Word => is_word_boundary(&text, position),
            Start::Space => position > 0 && text[position - 1] == ' ',
        };
        let ends = match end {
            End::Word => is_word_boundary(&text, position + length),
            End::Space => text
                .get(position + length)
                .is_some_and(|&next| is_space(next)),
        };
        let found = text.get(position..position + length);
        found.is_some_and(|found| found.iter().copied().map(fold).eq(pattern.iter().copied()))
            && starts
            && ends
    };
    if !(0..text.len()).any(occurs_at) {
        return text;
    }
    let mut spaced = Vec::with_capacity(text.len() + 8);
    let mut position = 0;
    while position < text.len() {
        if occurs_at(position) {
            if start == Start::Word {
                spaced.push(' ');
            }
            let middle = position + first.chars().count();
            spaced.extend(&text[position..middle]);
            spaced.push(' ');
            spaced.extend(&text[middle..position + length]);
            spaced.push(' ');
            position += length;
        } else {
            spaced.push(text[position]);
            position += 1;
        }
    }
    spaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_endings_and_contractions_are_words() {
        assert_eq!(
            words("It's $3.88, isn't it? (I CANNOT say.)"),
            [
                "It", "'s", "$", "3.88", ",", "is", "n't", "it", "?", "(", "I", "CAN", "NOT",
                "say", ".", ")"
            ]
        );
    }

    #[test]
    fn quotes_are_those_of_the_treebank() {
        assert_eq!(words("\"Hi\" 'a'"), ["``", "Hi", "''", "'", "a", "'"]);
    }
}
