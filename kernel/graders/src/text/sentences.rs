//! Punkt (Kiss and Strunk, 2006): sentences of English text as `nltk.sent_tokenize` of nltk 3.9
//! finds them.
//!
//! 1. Find each `.`, `?` or `!` that closing punctuation or another word follows.
//! 2. Decide from the words around it whether a sentence ends there ([`ends_sentence`]).
//! 3. Give closing quotes and brackets after the mark to the sentence before them.
//!
//! nltk uses backtracking regular expressions; here each step is a scan, so that time grows
//! linearly with the text.

use std::ops::Range;

use super::punkt_model::PunktModel;
use crate::python::characters::{is_lower, is_space, is_upper, is_word};

/// The sentences of a text, in order, without the white space between them.
pub fn sentences(text: &str) -> Vec<String> {
    let text: Vec<char> = text.chars().collect();
    let ranges = realign(&text, &boundaries(&text));
    let piece = |range: Range<usize>| text[range].iter().collect();
    ranges.into_iter().map(piece).collect()
}

/// The number of [`sentences`].
pub fn count_sentences(text: &str) -> usize {
    let text: Vec<char> = text.chars().collect();
    realign(&text, &boundaries(&text)).len()
}

/// A mark that may end a sentence, and what follows it.
#[derive(Debug, Clone)]
struct Candidate {
    /// Where the mark is.
    mark: usize,
    /// The end of the punctuation or word after it.
    end: usize,
    /// The start of the next word, where white space follows the mark.
    next_word: Option<usize>,
}

fn is_sentence_end(character: char) -> bool {
    matches!(character, '.' | '?' | '!')
}

/// Characters that cannot be within words (nltk's `_re_non_word_chars`).
fn is_non_word(character: char) -> bool {
    matches!(
        character,
        ')' | '"' | ';' | '}' | ']' | '*' | ':' | '@' | '\'' | '(' | '{' | '[' | '?' | '!'
    )
}

/// Characters that cannot start a word (nltk's `_re_word_start`).
fn cannot_start_word(character: char) -> bool {
    matches!(
        character,
        '(' | '"'
            | '`'
            | '{'
            | '['
            | ':'
            | ';'
            | '&'
            | '#'
            | '*'
            | '@'
            | ')'
            | '}'
            | ']'
            | '-'
            | ','
    )
}

/// Marks that may end a sentence (nltk's `period_context_re`).
fn candidates(text: &[char]) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (mark, &character) in text.iter().enumerate() {
        let Some(&next) = text.get(mark + 1) else {
            break;
        };
        if !is_sentence_end(character) {
            continue;
        }
        if is_non_word(next) {
            found.push(Candidate {
                mark,
                end: mark + 2,
                next_word: None,
            });
        } else if is_space(next) {
            let start = mark + 1 + run_length(&text[mark + 1..], is_space);
            let length = run_length(&text[start..], |character| !is_space(character));
            if length > 0 {
                found.push(Candidate {
                    mark,
                    end: start + length,
                    next_word: Some(start),
                });
            }
        }
    }
    found
}

fn run_length(text: &[char], belongs: impl Fn(char) -> bool) -> usize {
    let run = text.iter().take_while(|&&character| belongs(character));
    run.count()
}

/// Candidates with the start of the word before them. Of several marks of one word, as in "what?!",
/// the last one stands for all (nltk's `_match_potential_end_contexts`).
fn contexts(text: &[char]) -> Vec<(usize, Candidate)> {
    // Python's `string.whitespace`.
    let is_ascii_space = |character: &char| matches!(character, ' ' | '\t'..='\r');
    let mut contexts: Vec<(usize, Candidate)> = Vec::new();
    let mut previous = 0..0;
    for candidate in candidates(text) {
        let before = &text[previous.end..candidate.mark];
        // nltk takes white space at index 0 for none.
        let space = before.iter().rposition(is_ascii_space);
        let start = match space.filter(|&index| index > 0) {
            Some(index) => previous.end + index + 1,
            None => previous.start,
        };
        if previous.end > start {
            // The same word goes on.
            contexts.pop();
        }
        previous = start..candidate.mark;
        contexts.push((start, candidate));
    }
    contexts
}

/// Sentences before closing punctuation is given to them (nltk's `_slices_from_text`).
fn boundaries(text: &[char]) -> Vec<Range<usize>> {
    let mut sentences = Vec::new();
    let mut start = 0;
    for (word, candidate) in contexts(text) {
        if ends_sentence(&text[word..candidate.end]) {
            sentences.push(start..candidate.mark + 1);
            start = candidate.next_word.unwrap_or(candidate.mark + 1);
        }
    }
    let trailing = text
        .iter()
        .rev()
        .take_while(|&&character| is_space(character));
    let end = text.len() - trailing.count();
    sentences.push(start..end.max(start));
    sentences
}

/// Moves closing quotes and brackets at the start of a sentence to the end of the one before it
/// (nltk's `_realign_boundaries`), and drops empty sentences.
fn realign(text: &[char], sentences: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut realigned = Vec::new();
    let mut moved = 0;
    for (index, sentence) in sentences.iter().enumerate() {
        let start = sentence.start + moved;
        let closing = sentences.get(index + 1).and_then(|next| {
            let lengths = closing_punctuation(&text[next.clone()]);
            lengths.map(|lengths| (next.start, lengths))
        });
        if let Some((next, (marks, with_space))) = closing {
            realigned.push(start..next + marks);
            moved = with_space;
        } else {
            moved = 0;
            if start < sentence.end {
                realigned.push(start..sentence.end);
            }
        }
    }
    realigned
}

/// The number of closing quotes and brackets at the start of a text that white space, a dash or the
/// end follows; without and with that white space.
fn closing_punctuation(text: &[char]) -> Option<(usize, usize)> {
    let is_closing = |character| matches!(character, '"' | '\'' | ')' | ']' | '}');
    let marks = run_length(text, is_closing);
    let rest = &text[marks..];
    let is_followed = rest.is_empty() || is_space(rest[0]) || rest.starts_with(&['-', '-']);
    (marks > 0 && is_followed).then(|| (marks, marks + run_length(rest, is_space)))
}

/// A word of a context, as far as the decision needs it.
#[derive(Debug)]
struct Token {
    text: Vec<char>,
    /// In lower case, and `##number##` for all numbers.
    kind: String,
    is_sentence_break: bool,
    is_abbreviation: bool,
    is_ellipsis: bool,
}

impl Token {
    /// The decisions that the word alone allows (nltk's `_first_pass_annotation`).
    fn new(text: &[char]) -> Self {
        let lower: String = text.iter().collect::<String>().to_lowercase();
        let is_number = is_number(&lower);
        let mut token = Self {
            text: text.to_vec(),
            kind: String::new(),
            is_sentence_break: false,
            is_abbreviation: false,
            is_ellipsis: text.len() > 1 && text.iter().all(|&character| character == '.'),
        };
        if let [mark] = text
            && is_sentence_end(*mark)
        {
            token.is_sentence_break = true;
        } else if !token.is_ellipsis && token.ends_with_period() && !text.ends_with(&['.', '.']) {
            let word = lower.strip_suffix('.').unwrap_or(&lower);
            let last = word.rsplit('-').next().unwrap_or(word);
            let model = PunktModel::english();
            token.is_abbreviation = model.is_abbreviation(word) || model.is_abbreviation(last);
            token.is_sentence_break = !token.is_abbreviation;
        }
        token.kind = if is_number {
            "##number##".to_owned()
        } else {
            lower
        };
        token
    }

    fn ends_with_period(&self) -> bool {
        self.text.ends_with(&['.'])
    }

    /// Whether it is one letter with a period.
    fn is_initial(&self) -> bool {
        matches!(self.text[..], [letter, '.'] if is_word(letter) && !is_decimal_digit(letter))
    }

    fn starts_upper(&self) -> bool {
        starts_with(&self.text, is_upper)
    }

    fn starts_lower(&self) -> bool {
        starts_with(&self.text, is_lower)
    }

    fn kind_without_period(&self) -> &str {
        match self.kind.strip_suffix('.') {
            Some(shorter) if !shorter.is_empty() => shorter,
            _ => &self.kind,
        }
    }

    /// The kind without a period that ends a sentence.
    fn kind_within_sentence(&self) -> &str {
        if self.is_sentence_break {
            self.kind_without_period()
        } else {
            &self.kind
        }
    }
}

fn starts_with(text: &[char], has_case: fn(&str) -> bool) -> bool {
    let first = text.first();
    first.is_some_and(|first| has_case(first.encode_utf8(&mut [0; 4])))
}

/// General category Nd, which is Python's `\d`.
fn is_decimal_digit(character: char) -> bool {
    use std::sync::LazyLock;
    static DIGIT: LazyLock<regex::Regex> = LazyLock::new(|| {
        #[expect(
            clippy::unwrap_used,
            reason = "a constant pattern, compiled by the tests"
        )]
        regex::Regex::new(r"^\d$").unwrap()
    });
    character.is_ascii_digit()
        || (!character.is_ascii() && DIGIT.is_match(character.encode_utf8(&mut [0; 4])))
}

/// nltk's `_RE_NUMERIC`: `^-?[\.,]?\d[\d,\.-]*\.?$`.
fn is_number(word: &str) -> bool {
    let unsigned = word.strip_prefix('-').unwrap_or(word);
    let digits = unsigned.strip_prefix(['.', ',']).unwrap_or(unsigned);
    let mut characters = digits.chars();
    characters.next().is_some_and(is_decimal_digit)
        && characters.all(|character| is_decimal_digit(character) || ",.-".contains(character))
}

/// Whether a sentence ends within a context, before its last word (nltk's
/// `text_contains_sentbreak`).
fn ends_sentence(context: &[char]) -> bool {
    let lines = context.split(|&character| character == '\n');
    let words = lines.flat_map(split_words);
    let mut tokens: Vec<Token> = words.map(Token::new).collect();
    for index in 1..tokens.len() {
        let (before, after) = tokens.split_at_mut(index);
        reconsider(&mut before[index - 1], &after[0]);
    }
    let before_last = tokens.len().saturating_sub(1);
    tokens[..before_last]
        .iter()
        .any(|token| token.is_sentence_break)
}

/// The words of a line (nltk's `PunktLanguageVars.word_tokenize`).
fn split_words(line: &[char]) -> Vec<&[char]> {
    let mut words = Vec::new();
    let mut position = 0;
    while position < line.len() {
        let rest = &line[position..];
        let length = match multiple_marks(rest) {
            Some(length) => length,
            None if is_space(rest[0]) => {
                position += 1;
                continue;
            }
            None if cannot_start_word(rest[0]) => 1,
            None => word_length(rest),
        };
        words.push(&rest[..length]);
        position += length;
    }
    words
}

/// The length of dashes, dots or dots with spaces between them at the start of a text.
fn multiple_marks(text: &[char]) -> Option<usize> {
    for mark in ['-', '.'] {
        let length = run_length(text, |character| character == mark);
        if length > 1 {
            return Some(length);
        }
    }
    let mut pairs = 0;
    while matches!(text.get(2 * pairs..2 * pairs + 2), Some(&['.', space]) if is_space(space)) {
        pairs += 1;
    }
    // The dots after two pairs or more have to end with a dot; pairs are given back until one does.
    while pairs >= 2 {
        if text.get(2 * pairs) == Some(&'.') {
            return Some(2 * pairs + 1);
        }
        pairs -= 1;
    }
    None
}

/// The length of the word at the start of a text: at least one character, up to punctuation, white
/// space or a comma before one of them.
fn word_length(text: &[char]) -> usize {
    let ends_word = |position: usize| match text.get(position) {
        None => true,
        Some(&character) if is_space(character) || is_non_word(character) => true,
        Some(_) => starts_multiple_marks(&text[position..]),
    };
    let is_end = |&position: &usize| {
        ends_word(position) || (text[position] == ',' && ends_word(position + 1))
    };
    let ends = (1..=text.len()).find(is_end);
    ends.unwrap_or(text.len())
}

/// Whether [`multiple_marks`] finds some, in constant time.
fn starts_multiple_marks(text: &[char]) -> bool {
    match text {
        ['-', '-', ..] | ['.', '.', ..] => true,
        ['.', first, '.', second, '.', ..] => is_space(*first) && is_space(*second),
        _ => false,
    }
}

/// Changes the decision about a word that ends with a period by the word after it (nltk's
/// `_second_pass_annotation`; the numbers are those of the paper's sections).
fn reconsider(token: &mut Token, next: &Token) {
    if !token.ends_with_period() {
        return;
    }
    let model = PunktModel::english();
    let kind = token.kind_without_period();
    let next_kind = next.kind_within_sentence();
    let is_initial = token.is_initial();
    // 4.1.2: a known pair is no end of a sentence.
    if model.is_collocation(kind, next_kind) {
        token.is_sentence_break = false;
        token.is_abbreviation = true;
        return;
    }
    // 4.2: an abbreviation or ellipsis may end a sentence as well.
    if (token.is_abbreviation || token.is_ellipsis) && !is_initial {
        let starts = next.starts_upper() && model.is_sentence_starter(next_kind);
        if starts_sentence(next) == Some(true) || starts {
            token.is_sentence_break = true;
            return;
        }
    }
    // 4.3: initials and ordinals end no sentence before a word that starts none.
    if is_initial || kind == "##number##" {
        let continues = match starts_sentence(next) {
            Some(starts) => !starts,
            None => is_initial && next.starts_upper() && !model.contexts(next_kind).lower(),
        };
        if continues {
            token.is_sentence_break = false;
            token.is_abbreviation = true;
        }
    }
}

/// Whether a word starts a sentence, as far as its case tells (nltk's `_ortho_heuristic`, 4.1.1).
fn starts_sentence(token: &Token) -> Option<bool> {
    if matches!(token.text[..], [';' | ':' | ',' | '.' | '!' | '?']) {
        return Some(false);
    }
    let contexts = PunktModel::english().contexts(token.kind_within_sentence());
    if token.starts_upper() && contexts.lower() && !contexts.upper_in_middle() {
        return Some(true);
    }
    if token.starts_lower() && (contexts.upper() || !contexts.lower_at_beginning()) {
        return Some(false);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_initials_and_numbers_end_no_sentence() {
        let text = "Dr. J. Smith paid $3.50 to the U.S. government. He left at 5 p.m. on Jan. 3.";
        assert_eq!(count_sentences(text), 2);
    }

    #[test]
    fn closing_punctuation_belongs_to_the_sentence_before_it() {
        assert_eq!(
            sentences("(One.) \"Two?\" Three"),
            ["(One.)", "\"Two?\"", "Three"]
        );
    }

    #[test]
    fn several_marks_end_one_sentence() {
        assert_eq!(sentences("What?! No... yes."), ["What?!", "No... yes."]);
    }

    #[test]
    fn an_empty_text_has_no_sentence() {
        assert_eq!(count_sentences(""), 0);
        assert_eq!(count_sentences(" \n "), 0);
    }
}
