//! The 25 kinds of instructions, read from `instruction_id_list` and `kwargs` of the data.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::python::characters::strip;
use crate::python::pattern::{Pattern, PatternError};

/// Why an instruction of the data cannot be checked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InstructionError {
    /// No kind has this id.
    #[error("`{id}` is no kind of instruction{hint}")]
    UnknownKind {
        /// The id in the data.
        id: String,
        /// The kind that may have been meant, as the end of a sentence, or nothing.
        hint: String,
    },
    /// An argument is absent, or one of Python's false values, which the reference takes for absent.
    #[error("`{id}` needs `{argument}`, which is missing")]
    MissingArgument {
        /// The kind.
        id: &'static str,
        /// The argument.
        argument: &'static str,
    },
    /// An argument has a value that the kind cannot have.
    #[error("`{id}` has `{argument}` {found}; it must be {expected}")]
    WrongArgument {
        /// The kind.
        id: &'static str,
        /// The argument.
        argument: &'static str,
        /// The value in the data, as JSON.
        found: String,
        /// What is possible.
        expected: &'static str,
    },
    /// A keyword is no regular expression.
    #[error("`{id}`: {source}")]
    Keyword {
        /// The kind.
        id: &'static str,
        /// Which keyword, and why.
        source: PatternError,
    },
    /// The two lists of an item have different lengths.
    #[error("the item has {instructions} instructions and {kwargs} kwargs")]
    Lengths {
        /// Entries of `instruction_id_list`.
        instructions: usize,
        /// Entries of `kwargs`.
        kwargs: usize,
    },
}

/// A bound on a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The count has to be smaller.
    LessThan(u64),
    /// The count has to be as large or larger.
    AtLeast(u64),
}

impl Bound {
    /// Whether a count is within the bound.
    pub fn holds(self, count: usize) -> bool {
        let count = count as u64;
        match self {
            Self::LessThan(limit) => count < limit,
            Self::AtLeast(limit) => count >= limit,
        }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LessThan(limit) => write!(formatter, "less than {limit}"),
            Self::AtLeast(limit) => write!(formatter, "at least {limit}"),
        }
    }
}

/// A keyword and its compiled pattern.
#[derive(Debug, Clone)]
pub struct Keyword {
    pub(super) text: String,
    pub(super) pattern: Pattern,
}

/// One instruction with its arguments.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the variants are the ids of the data, documented by the paper"
)]
pub enum Instruction {
    Keywords(Vec<Keyword>),
    KeywordFrequency(Keyword, Bound),
    ForbiddenWords(Vec<Keyword>),
    LetterFrequency(char, Bound),
    ResponseLanguage(String),
    Sentences(Bound),
    Paragraphs(u64),
    Words(Bound),
    NthParagraphFirstWord {
        paragraphs: u64,
        nth: usize,
        first_word: String,
    },
    Placeholders(u64),
    Postscript(Keyword),
    Bullets(u64),
    ConstrainedResponse,
    Highlights(u64),
    Sections(Keyword, u64),
    Json,
    Title,
    TwoResponses,
    RepeatPrompt(String),
    EndPhrase(String),
    CapitalWords(Bound),
    EnglishCapital,
    EnglishLowercase,
    NoComma,
    Quotation,
}

/// The ids of all kinds, in the order of lm-eval's registry.
pub const KINDS: [&str; 25] = [
    "keywords:existence",
    "keywords:frequency",
    "keywords:forbidden_words",
    "keywords:letter_frequency",
    "language:response_language",
    "length_constraints:number_sentences",
    "length_constraints:number_paragraphs",
    "length_constraints:number_words",
    "length_constraints:nth_paragraph_first_word",
    "detectable_content:number_placeholders",
    "detectable_content:postscript",
    "detectable_format:number_bullet_lists",
    "detectable_format:constrained_response",
    "detectable_format:number_highlighted_sections",
    "detectable_format:multiple_sections",
    "detectable_format:json_format",
    "detectable_format:title",
    "combination:two_responses",
    "combination:repeat_prompt",
    "startend:end_checker",
    "change_case:capital_word_frequency",
    "change_case:english_capital",
    "change_case:english_lowercase",
    "punctuation:no_comma",
    "startend:quotation",
];

impl Instruction {
    /// Reads one instruction.
    ///
    /// # Errors
    /// When the kind is unknown, or an argument is absent or impossible.
    pub fn read(id: &str, kwargs: &Value) -> Result<Self, InstructionError> {
        let Some(id) = KINDS.iter().copied().find(|kind| *kind == id) else {
            return Err(InstructionError::UnknownKind {
                id: id.to_owned(),
                hint: offmodel_support::suggestion::hint(id, &KINDS),
            });
        };
        let arguments = Arguments {
            id,
            values: kwargs.as_object(),
        };
        Ok(match id {
            "keywords:existence" => {
                Self::Keywords(arguments.keywords("keywords", Pattern::ignoring_case)?)
            }
            "keywords:frequency" => {
                let keyword = strip(arguments.text("keyword")?);
                let keyword = arguments.keyword(keyword, Pattern::ignoring_case)?;
                Self::KeywordFrequency(keyword, arguments.bound("frequency", "relation")?)
            }
            "keywords:forbidden_words" => {
                Self::ForbiddenWords(arguments.keywords("forbidden_words", Pattern::whole_words)?)
            }
            "keywords:letter_frequency" => Self::LetterFrequency(
                arguments.letter("letter")?,
                arguments.bound("let_frequency", "let_relation")?,
            ),
            "language:response_language" => {
                Self::ResponseLanguage(arguments.text("language")?.to_owned())
            }
            "length_constraints:number_sentences" => {
                Self::Sentences(arguments.bound("num_sentences", "relation")?)
            }
            "length_constraints:number_paragraphs" => {
                Self::Paragraphs(arguments.number("num_paragraphs")?)
            }
            "length_constraints:number_words" => {
                Self::Words(arguments.bound("num_words", "relation")?)
            }
            "length_constraints:nth_paragraph_first_word" => arguments.nth_paragraph()?,
            "detectable_content:number_placeholders" => {
                Self::Placeholders(arguments.number("num_placeholders")?)
            }
            "detectable_content:postscript" => {
                let marker = strip(arguments.text("postscript_marker")?);
                Self::Postscript(arguments.postscript(marker)?)
            }
            "detectable_format:number_bullet_lists" => {
                Self::Bullets(arguments.number("num_bullets")?)
            }
            "detectable_format:constrained_response" => Self::ConstrainedResponse,
            "detectable_format:number_highlighted_sections" => {
                Self::Highlights(arguments.number("num_highlights")?)
            }
            "detectable_format:multiple_sections" => {
                Self::Sections(arguments.sections()?, arguments.number("num_sections")?)
            }
            "detectable_format:json_format" => Self::Json,
            "detectable_format:title" => Self::Title,
            "combination:two_responses" => Self::TwoResponses,
            "combination:repeat_prompt" => {
                Self::RepeatPrompt(arguments.text("prompt_to_repeat")?.to_owned())
            }
            "startend:end_checker" => Self::EndPhrase(arguments.text("end_phrase")?.to_owned()),
            "change_case:capital_word_frequency" => {
                Self::CapitalWords(arguments.bound("capital_frequency", "capital_relation")?)
            }
            "change_case:english_capital" => Self::EnglishCapital,
            "change_case:english_lowercase" => Self::EnglishLowercase,
            "punctuation:no_comma" => Self::NoComma,
            "startend:quotation" => Self::Quotation,
            _ => unreachable!("every entry of KINDS has an arm: a test reads them all"),
        })
    }

    /// Reads the instructions of one item; the same kind may occur several times.
    ///
    /// # Errors
    /// As [`Self::read`]; also when the lists have different lengths.
    pub fn read_all(ids: &[String], kwargs: &[Value]) -> Result<Vec<Self>, InstructionError> {
        if ids.len() != kwargs.len() {
            return Err(InstructionError::Lengths {
                instructions: ids.len(),
                kwargs: kwargs.len(),
            });
        }
        let pairs = ids.iter().zip(kwargs);
        pairs.map(|(id, kwargs)| Self::read(id, kwargs)).collect()
    }
}

/// The arguments of one instruction. Null, zero, the empty string and the empty list count as
/// absent, as in the reference.
struct Arguments<'a> {
    id: &'static str,
    values: Option<&'a Map<String, Value>>,
}

/// Python's `\s?`.
const SPACE: &str = r"[\s\x1c-\x1f]?";

type Compile = fn(&str) -> Result<Pattern, PatternError>;

impl<'a> Arguments<'a> {
    fn get(&self, argument: &'static str) -> Result<&'a Value, InstructionError> {
        let is_present = |value: &&Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(values) => !values.is_empty(),
            Value::Number(number) => number.as_f64() != Some(0.0),
            _ => true,
        };
        let value = self.values.and_then(|values| values.get(argument));
        value
            .filter(is_present)
            .ok_or(InstructionError::MissingArgument {
                id: self.id,
                argument,
            })
    }

    fn wrong(
        &self,
        argument: &'static str,
        found: &Value,
        expected: &'static str,
    ) -> InstructionError {
        InstructionError::WrongArgument {
            id: self.id,
            argument,
            found: found.to_string(),
            expected,
        }
    }

    fn text(&self, argument: &'static str) -> Result<&'a str, InstructionError> {
        let value = self.get(argument)?;
        let text = value.as_str();
        text.ok_or_else(|| self.wrong(argument, value, "a text"))
    }

    fn number(&self, argument: &'static str) -> Result<u64, InstructionError> {
        let value = self.get(argument)?;
        // Some copies of the data have whole numbers as 3.0.
        let whole = |number: f64| {
            (number >= 0.0 && number.fract() == 0.0 && number < 1e15).then_some(number as u64)
        };
        let number = value.as_f64().and_then(whole);
        number.ok_or_else(|| self.wrong(argument, value, "a whole number"))
    }

    fn bound(
        &self,
        number: &'static str,
        relation: &'static str,
    ) -> Result<Bound, InstructionError> {
        let limit = self.number(number)?;
        let value = self.get(relation)?;
        match value.as_str() {
            Some("less than") => Ok(Bound::LessThan(limit)),
            Some("at least") => Ok(Bound::AtLeast(limit)),
            _ => Err(self.wrong(relation, value, "\"less than\" or \"at least\"")),
        }
    }

    fn letter(&self, argument: &'static str) -> Result<char, InstructionError> {
        let value = self.get(argument)?;
        let mut lower = value
            .as_str()
            .unwrap_or_default()
            .chars()
            .flat_map(char::to_lowercase);
        match (lower.next(), lower.next()) {
            (Some(letter), None) => Ok(letter),
            _ => Err(self.wrong(argument, value, "one character")),
        }
    }

    fn keyword(&self, text: &str, compile: Compile) -> Result<Keyword, InstructionError> {
        let pattern = compile(text).map_err(|source| InstructionError::Keyword {
            id: self.id,
            source,
        })?;
        Ok(Keyword {
            text: text.to_owned(),
            pattern,
        })
    }

    fn keywords(
        &self,
        argument: &'static str,
        compile: Compile,
    ) -> Result<Vec<Keyword>, InstructionError> {
        let value = self.get(argument)?;
        let texts: Option<Vec<&str>> = value
            .as_array()
            .and_then(|values| values.iter().map(Value::as_str).collect());
        let texts = texts.ok_or_else(|| self.wrong(argument, value, "a list of texts"))?;
        let keywords = texts.into_iter().map(|text| self.keyword(text, compile));
        keywords.collect()
    }

    /// The marker of a postscript in lower case; the two usual ones allow spaces within.
    fn postscript(&self, marker: &str) -> Result<Keyword, InstructionError> {
        let expression = match marker {
            "P.P.S" => format!(r"p\.{SPACE}p\.{SPACE}s"),
            "P.S." => format!(r"p\.{SPACE}s\."),
            _ => marker.to_lowercase(),
        };
        let keyword = self.keyword(&expression, Pattern::case_sensitive)?;
        Ok(Keyword {
            text: marker.to_owned(),
            ..keyword
        })
    }

    /// The start of a section: the splitter and a number.
    fn sections(&self) -> Result<Keyword, InstructionError> {
        let splitter = strip(self.text("section_spliter")?);
        let expression = format!(r"{SPACE}{splitter}{SPACE}\d+{SPACE}");
        let keyword = self.keyword(&expression, Pattern::case_sensitive)?;
        Ok(Keyword {
            text: splitter.to_owned(),
            ..keyword
        })
    }

    fn nth_paragraph(&self) -> Result<Instruction, InstructionError> {
        let paragraphs = self.number("num_paragraphs")?;
        let nth = self.number("nth_paragraph")?;
        if nth > paragraphs {
            let found = Value::from(nth);
            return Err(self.wrong("nth_paragraph", &found, "at most num_paragraphs"));
        }
        Ok(Instruction::NthParagraphFirstWord {
            paragraphs,
            nth: nth as usize,
            first_word: self.text("first_word")?.to_lowercase(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn error(id: &str, kwargs: &Value) -> String {
        Instruction::read(id, kwargs).unwrap_err().to_string()
    }

    #[test]
    fn every_kind_can_be_read() {
        let kwargs = json!({
            "keywords": ["a"], "keyword": "a", "frequency": 1, "relation": "at least",
            "forbidden_words": ["a"], "letter": "#", "let_frequency": 2.0,
            "let_relation": "less than", "language": "en", "num_sentences": 1,
            "num_paragraphs": 2, "num_words": 3, "nth_paragraph": 2, "first_word": "A",
            "num_placeholders": 1, "postscript_marker": "P.S.", "num_bullets": 1,
            "num_highlights": 1, "section_spliter": "Section", "num_sections": 1,
            "prompt_to_repeat": "a", "end_phrase": "a", "capital_frequency": 1,
            "capital_relation": "at least",
        });
        for kind in KINDS {
            Instruction::read(kind, &kwargs).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_checked_is_named() {
        assert_eq!(
            error("keyword:existence", &json!({})),
            "`keyword:existence` is no kind of instruction; did you mean `keywords:existence`?"
        );
        assert_eq!(
            error(
                "length_constraints:number_words",
                &json!({"num_words": 0, "relation": "at least"})
            ),
            "`length_constraints:number_words` needs `num_words`, which is missing"
        );
        assert_eq!(
            error(
                "length_constraints:number_words",
                &json!({"num_words": 2, "relation": "at most"})
            ),
            "`length_constraints:number_words` has `relation` \"at most\"; it must be \"less than\" \
             or \"at least\""
        );
    }
}
