//! Whether a response follows instructions, strictly and loosely.

use std::sync::LazyLock;

use regex::Regex;

use super::instruction::{Instruction, Keyword};
use super::language::detect;
use crate::python::characters::{is_lower, is_upper, is_word, split, strip};
use crate::python::json::is_json;
use crate::text::sentences::count_sentences;
use crate::text::words::words;

/// Whether one instruction is followed, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Whether the text follows the instruction.
    pub followed: bool,
    /// A sentence that says what was found and what was asked.
    pub explanation: String,
}

/// The verdicts of one response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graded {
    /// One check for each instruction, of the response as it is.
    pub strict: Vec<Check>,
    /// For each instruction, whether the response or one of its variants without the first line,
    /// the last line or asterisks follows it.
    pub loose: Vec<bool>,
}

impl Graded {
    /// Whether every instruction is followed strictly: the accuracy of prompts.
    pub fn follows_all(&self) -> bool {
        self.strict.iter().all(|check| check.followed)
    }
}

/// Grades a response. Thinking text has to be cut before ([`crate::thinking`]).
pub fn grade(instructions: &[Instruction], response: &str) -> Graded {
    let strict: Vec<Check> = instructions
        .iter()
        .map(|instruction| instruction.check_text(response))
        .collect();
    let variants = LooseVariants::of(response);
    let loose = instructions.iter().zip(&strict);
    let loose = loose.map(|(instruction, check)| {
        // The response itself is the first variant.
        check.followed || variants.any(|variant| instruction.check_text(variant).followed)
    });
    Graded {
        loose: loose.collect(),
        strict,
    }
}

/// The seven further texts of which one has to follow an instruction loosely.
struct LooseVariants(Vec<String>);

impl LooseVariants {
    fn of(response: &str) -> Self {
        let lines: Vec<&str> = response.split('\n').collect();
        let without = |start: usize, end: usize| {
            let kept = lines.get(start..lines.len() - end).unwrap_or_default();
            strip(&kept.join("\n")).to_owned()
        };
        let cut = [without(1, 0), without(0, 1), without(1, 1)];
        let plain = |text: &str| text.replace('*', "");
        let mut variants = vec![plain(response)];
        variants.extend(cut.iter().map(|text| plain(text)));
        variants.extend(cut);
        // A variant that equals the response or another one has the same verdict.
        variants.sort();
        variants.dedup();
        variants.retain(|variant| variant != response);
        Self(variants)
    }

    fn any(&self, follows: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|variant| follows(variant))
    }
}

impl Instruction {
    /// Checks one text; a text of white space follows nothing.
    fn check_text(&self, text: &str) -> Check {
        if strip(text).is_empty() {
            return Check {
                followed: false,
                explanation: "the response is empty".to_owned(),
            };
        }
        let (followed, explanation) = self.check(text);
        Check {
            followed,
            explanation,
        }
    }

    fn check(&self, text: &str) -> (bool, String) {
        match self {
            Self::Keywords(keywords) => check_keywords(keywords, text),
            Self::KeywordFrequency(keyword, bound) => {
                let count = keyword.pattern.count(text);
                let found = format!("`{}` occurs {count} times; asked: {bound}", keyword.text);
                (bound.holds(count), found)
            }
            Self::ForbiddenWords(words) => check_forbidden(words, text),
            Self::LetterFrequency(letter, bound) => {
                let lower = text.to_lowercase();
                let count = lower.chars().filter(|found| found == letter).count();
                let found = format!("the letter `{letter}` occurs {count} times; asked: {bound}");
                (bound.holds(count), found)
            }
            Self::ResponseLanguage(language) => match detect(text) {
                Some(found) => (
                    found == *language,
                    format!("the language is `{found}`; asked: `{language}`"),
                ),
                None => (true, UNDETECTABLE.to_owned()),
            },
            Self::Sentences(bound) => {
                let count = count_sentences(text);
                (
                    bound.holds(count),
                    format!("{count} sentences; asked: {bound}"),
                )
            }
            Self::Paragraphs(asked) => check_paragraphs(*asked, text),
            Self::Words(bound) => {
                let count = count_words(text);
                (bound.holds(count), format!("{count} words; asked: {bound}"))
            }
            Self::NthParagraphFirstWord {
                paragraphs,
                nth,
                first_word,
            } => check_first_word(*paragraphs, *nth, first_word, text),
            Self::Placeholders(asked) => {
                let count = matches(&PLACEHOLDER, text);
                let found = format!("{count} placeholders in brackets; asked: at least {asked}");
                (count as u64 >= *asked, found)
            }
            Self::Postscript(marker) => {
                let found = marker.pattern.occurs_in(&text.to_lowercase());
                let what = if found { "there is a" } else { "there is no" };
                (found, format!("{what} postscript `{}`", marker.text))
            }
            Self::Bullets(asked) => {
                let count = matches(&STAR_BULLET, text) + matches(&DASH_BULLET, text);
                let found = format!("{count} bullets; asked: exactly {asked}");
                (count as u64 == *asked, found)
            }
            Self::ConstrainedResponse => {
                let option = OPTIONS.iter().find(|option| text.contains(**option));
                match option {
                    Some(option) => (true, format!("the response has `{option}` in it")),
                    None => (
                        false,
                        "none of the three answers is in the response".to_owned(),
                    ),
                }
            }
            Self::Highlights(asked) => {
                let count = count_highlights(text);
                let found = format!("{count} highlights; asked: at least {asked}");
                (count as u64 >= *asked, found)
            }
            Self::Sections(splitter, asked) => {
                let count = splitter.pattern.count(text);
                let found = format!(
                    "{count} times `{} N`; asked: at least {asked}",
                    splitter.text
                );
                (count as u64 >= *asked, found)
            }
            Self::Json => {
                let is_valid = is_json(without_fence(text));
                let what = if is_valid { "is" } else { "is not" };
                (is_valid, format!("the response {what} JSON"))
            }
            Self::Title => {
                let has_title = has_title(text);
                let what = if has_title { "a" } else { "no" };
                (
                    has_title,
                    format!("{what} title in <<double angular brackets>>"),
                )
            }
            Self::TwoResponses => check_two_responses(text),
            Self::RepeatPrompt(prompt) => {
                let lower = strip(text).to_lowercase();
                let begins = lower.starts_with(&strip(prompt).to_lowercase());
                let what = if begins { "begins" } else { "does not begin" };
                (begins, format!("the response {what} with the request"))
            }
            Self::EndPhrase(phrase) => {
                let end = strip(text).trim_matches('"').to_lowercase();
                let ends = end.ends_with(&strip(phrase).to_lowercase());
                let what = if ends { "ends" } else { "does not end" };
                (ends, format!("the response {what} with `{phrase}`"))
            }
            Self::CapitalWords(bound) => {
                let count = words(text).iter().filter(|word| is_upper(word)).count();
                let found = format!("{count} words in capital letters; asked: {bound}");
                (bound.holds(count), found)
            }
            Self::EnglishCapital => check_english_case(is_upper(text), "capital", text),
            Self::EnglishLowercase => check_english_case(is_lower(text), "lower-case", text),
            Self::NoComma => {
                let count = text.matches(',').count();
                (count == 0, format!("{count} commas"))
            }
            Self::Quotation => {
                let text = strip(text);
                let is_quoted = text.len() > 1 && text.starts_with('"') && text.ends_with('"');
                let what = if is_quoted { "is" } else { "is not" };
                (
                    is_quoted,
                    format!("the response {what} in double quotation marks"),
                )
            }
        }
    }
}

/// Why a text whose language cannot be detected passes: the reference counts it so.
const UNDETECTABLE: &str = "the language cannot be detected, which counts as followed";

/// The answers of `detectable_format:constrained_response`.
const OPTIONS: [&str; 3] = [
    "My answer is yes.",
    "My answer is no.",
    "My answer is maybe.",
];

fn expression(pattern: &str) -> Regex {
    #[expect(
        clippy::unwrap_used,
        reason = "constant patterns, all used by the tests"
    )]
    Regex::new(pattern).unwrap()
}

static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| expression(r"\[.*?\]"));
static STAR_BULLET: LazyLock<Regex> = LazyLock::new(|| expression(r"(?m)^[\s\x1c-\x1f]*\*[^*].*$"));
static DASH_BULLET: LazyLock<Regex> = LazyLock::new(|| expression(r"(?m)^[\s\x1c-\x1f]*-.*$"));
static HIGHLIGHT: LazyLock<Regex> = LazyLock::new(|| expression(r"\*[^\n*]*\*"));
static DOUBLE_HIGHLIGHT: LazyLock<Regex> = LazyLock::new(|| expression(r"\*\*[^\n*]*\*\*"));
static TITLE: LazyLock<Regex> = LazyLock::new(|| expression(r"<<[^\n]+>>"));
static DIVIDER: LazyLock<Regex> =
    LazyLock::new(|| expression(r"[\s\x1c-\x1f]?\*\*\*[\s\x1c-\x1f]?"));

fn matches(pattern: &Regex, text: &str) -> usize {
    pattern.find_iter(text).count()
}

fn check_keywords(keywords: &[Keyword], text: &str) -> (bool, String) {
    let missing = keywords
        .iter()
        .find(|keyword| !keyword.pattern.occurs_in(text));
    match missing {
        Some(keyword) => (false, format!("`{}` does not occur", keyword.text)),
        None => (true, "all keywords occur".to_owned()),
    }
}

fn check_forbidden(words: &[Keyword], text: &str) -> (bool, String) {
    let found = words.iter().find(|word| word.pattern.occurs_in(text));
    match found {
        Some(word) => (false, format!("the forbidden `{}` occurs", word.text)),
        None => (true, "no forbidden word occurs".to_owned()),
    }
}

/// Paragraphs between dividers; the first and the last may be empty and then do not count.
fn check_paragraphs(asked: u64, text: &str) -> (bool, String) {
    let paragraphs: Vec<&str> = DIVIDER.split(text).collect();
    let last = paragraphs.len() - 1;
    let is_empty = |index: &usize| strip(paragraphs[*index]).is_empty();
    if let Some(index) = (1..last).find(is_empty) {
        return (false, format!("paragraph {} is empty", index + 1));
    }
    let at_ends = if last == 0 { vec![0] } else { vec![0, last] };
    let empty = at_ends.iter().filter(|index| is_empty(index)).count();
    let count = paragraphs.len() - empty;
    let found = format!("{count} paragraphs between ***; asked: exactly {asked}");
    (count as u64 == asked, found)
}

/// `\w+`, which for Python has no combining marks in it.
fn count_words(text: &str) -> usize {
    text.split(|character| !is_word(character))
        .filter(|word| !word.is_empty())
        .count()
}

/// The reference counts paragraphs that are not blank, but numbers all of them.
fn check_first_word(asked: u64, nth: usize, expected: &str, text: &str) -> (bool, String) {
    let paragraphs: Vec<&str> = text.split("\n\n").collect();
    let count = paragraphs
        .iter()
        .filter(|text| !strip(text).is_empty())
        .count();
    if nth > count {
        return (
            false,
            format!("{count} paragraphs; there is no paragraph {nth}"),
        );
    }
    let Some(word) = split(paragraphs[nth - 1]).next() else {
        return (false, format!("paragraph {nth} is empty"));
    };
    let word = word.trim_start_matches('\'').trim_start_matches('"');
    let letters = word.chars();
    let letters = letters.take_while(|letter| !['.', ',', '?', '!', '\'', '"'].contains(letter));
    let first: String = letters.flat_map(char::to_lowercase).collect();
    let found = format!(
        "{count} paragraphs, and paragraph {nth} begins with `{first}`; asked: {asked} and \
         `{expected}`"
    );
    (count as u64 == asked && first == expected, found)
}

/// `*x*` and `**x**` are searched for separately. Of `**x**` the first search finds only the two
/// empty pairs of asterisks.
fn count_highlights(text: &str) -> usize {
    let single = HIGHLIGHT
        .find_iter(text)
        .filter(|found| !strip(found.as_str().trim_matches('*')).is_empty());
    let double = DOUBLE_HIGHLIGHT.find_iter(text).filter(|found| {
        let inner = found.as_str().strip_prefix("**").unwrap_or_default();
        !strip(inner.strip_suffix("**").unwrap_or(inner)).is_empty()
    });
    single.count() + double.count()
}

fn has_title(text: &str) -> bool {
    TITLE.find_iter(text).any(|found| {
        let title = found.as_str().trim_start_matches('<').trim_end_matches('>');
        !strip(title).is_empty()
    })
}

/// A text without the fence of a code block around it.
fn without_fence(text: &str) -> &str {
    let mut text = strip(text);
    for prefix in ["```json", "```Json", "```JSON", "```"] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    strip(text.strip_suffix("```").unwrap_or(text))
}

fn check_two_responses(text: &str) -> (bool, String) {
    let parts: Vec<&str> = text.split("******").map(strip).collect();
    let last = parts.len() - 1;
    if (1..last).any(|index| parts[index].is_empty()) {
        return (false, "a response between ****** is empty".to_owned());
    }
    let responses: Vec<&&str> = parts.iter().filter(|part| !part.is_empty()).collect();
    match responses[..] {
        [first, second] if first != second => (true, "two different responses".to_owned()),
        [_, _] => (false, "the two responses are equal".to_owned()),
        _ => {
            let count = responses.len();
            (false, format!("{count} responses between ******; asked: 2"))
        }
    }
}

fn check_english_case(has_case: bool, name: &str, text: &str) -> (bool, String) {
    if !has_case {
        return (false, format!("not all letters are {name} letters"));
    }
    match detect(text).as_deref() {
        Some("en") => (true, format!("English in {name} letters")),
        Some(other) => (false, format!("the language is `{other}`; asked: `en`")),
        None => (true, UNDETECTABLE.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn strict(id: &str, kwargs: &Value, response: &str) -> bool {
        let instruction = Instruction::read(id, kwargs).unwrap();
        grade(&[instruction], response).follows_all()
    }

    #[test]
    fn quirks_of_the_reference_are_kept() {
        let none = json!({});
        let bullets = |count| json!({"num_bullets": count});
        // A rule is a bullet, too, and `\s*` crosses lines.
        assert!(strict(
            "detectable_format:number_bullet_lists",
            &bullets(3),
            "* a\n\n\n* b\n---"
        ));
        assert!(strict(
            "detectable_format:number_highlighted_sections",
            &json!({"num_highlights": 2}),
            "**x** and *y*"
        ));
        assert!(strict(
            "language:response_language",
            &json!({"language": "fr"}),
            "123"
        ));
        assert!(strict(
            "detectable_format:json_format",
            &none,
            "```json\nNaN\n```"
        ));
        assert!(!strict("startend:quotation", &none, "“a”"));
        assert!(!strict("punctuation:no_comma", &none, "   "));
    }

    #[test]
    fn the_loose_verdict_forgives_lines_around_the_response_and_asterisks() {
        let json = Instruction::read("detectable_format:json_format", &Value::Null).unwrap();
        let graded = grade(&[json], "Sure!\n{\"a\": 1}\nAnything else?");
        assert_eq!(
            (graded.follows_all(), &graded.loose[..]),
            (false, &[true][..])
        );
        assert_eq!(graded.strict[0].explanation, "the response is not JSON");
    }
}
