//! `re.search` and `re.findall` with patterns that come from benchmark data.
//!
//! Keywords of IFEval are regular expressions that are not escaped, though none of the published
//! ones holds a metacharacter. A literal keyword is therefore searched for directly, in linear
//! time; any other goes through a backtracking engine with a bound on its work.

use std::sync::LazyLock;

use regex::Regex;
use thiserror::Error;

use super::characters::is_word_boundary;

/// A keyword that is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{pattern}` is not a regular expression: {reason}")]
pub struct PatternError {
    /// The keyword.
    pub pattern: String,
    /// What the engine says.
    pub reason: String,
}

/// Characters with a meaning in Python's regular expressions.
const METACHARACTERS: &str = r"\^$.|?*+()[]{}";
/// Steps after which a search with a pattern that is no literal is given up.
const BACKTRACK_LIMIT: usize = 1_000_000;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Pattern {
    search: Search,
    whole_words: bool,
}

#[derive(Debug, Clone)]
enum Search {
    /// A text without metacharacters, folded if case is ignored.
    Literal {
        characters: Vec<char>,
        ignores_case: bool,
    },
    /// An expression that needs no backtracking.
    Linear(Regex),
    Backtracking(Box<fancy_regex::Regex>),
}

impl Pattern {
    /// Compiles `pattern` with `re.IGNORECASE`.
    ///
    /// # Errors
    /// When it is no regular expression.
    pub fn ignoring_case(pattern: &str) -> Result<Self, PatternError> {
        if is_literal(pattern) {
            return Ok(Self::literal(pattern, true, false));
        }
        Self::expression(pattern, &format!("(?i){pattern}"))
    }

    /// Compiles `\bpattern\b` with `re.IGNORECASE`.
    ///
    /// # Errors
    /// When it is no regular expression.
    pub fn whole_words(pattern: &str) -> Result<Self, PatternError> {
        if is_literal(pattern) {
            return Ok(Self::literal(pattern, true, true));
        }
        Self::expression(pattern, &format!(r"(?i)\b{pattern}\b"))
    }

    /// Compiles `pattern` without flags.
    ///
    /// # Errors
    /// When it is no regular expression.
    pub fn case_sensitive(pattern: &str) -> Result<Self, PatternError> {
        if is_literal(pattern) {
            return Ok(Self::literal(pattern, false, false));
        }
        Self::expression(pattern, pattern)
    }

    fn literal(pattern: &str, ignores_case: bool, whole_words: bool) -> Self {
        let characters = if ignores_case {
            pattern.chars().map(fold).collect()
        } else {
            pattern.chars().collect()
        };
        Self {
            search: Search::Literal {
                characters,
                ignores_case,
            },
            whole_words,
        }
    }

    fn expression(pattern: &str, expression: &str) -> Result<Self, PatternError> {
        let search = match Regex::new(expression) {
            Ok(regex) => Search::Linear(regex),
            // Lookaround and references to groups.
            Err(_) => {
                let built = fancy_regex::RegexBuilder::new(expression)
                    .backtrack_limit(BACKTRACK_LIMIT)
                    .build();
                Search::Backtracking(Box::new(built.map_err(|error| PatternError {
                    pattern: pattern.to_owned(),
                    reason: error.to_string(),
                })?))
            }
        };
        Ok(Self {
            search,
            whole_words: false,
        })
    }

    /// Whether the pattern occurs.
    pub fn occurs_in(&self, text: &str) -> bool {
        self.count_up_to(text, 1) > 0
    }

    /// How often the pattern occurs, without overlap.
    pub fn count(&self, text: &str) -> usize {
        self.count_up_to(text, usize::MAX)
    }

    fn count_up_to(&self, text: &str, limit: usize) -> usize {
        match &self.search {
            Search::Linear(regex) => regex.find_iter(text).take(limit).count(),
            // A search that runs into its bound counts as no further match.
            Search::Backtracking(regex) => {
                let matches = regex.find_iter(text).take_while(Result::is_ok);
                matches.take(limit).count()
            }
            Search::Literal {
                characters,
                ignores_case,
            } => {
                let text: Vec<char> = text.chars().collect();
                let folded: Vec<char> = if *ignores_case {
                    text.iter().copied().map(fold).collect()
                } else {
                    text.clone()
                };
                count_literal(&folded, &text, characters, self.whole_words, limit)
            }
        }
    }
}

/// Whether a pattern means itself.
pub fn is_literal(pattern: &str) -> bool {
    !pattern.contains(|character| METACHARACTERS.contains(character))
}

/// Occurrences of a literal in folded text, from left to right.
fn count_literal(
    folded: &[char],
    text: &[char],
    literal: &[char],
    whole_words: bool,
    limit: usize,
) -> usize {
    let (mut count, mut position) = (0, 0);
    while count < limit && position + literal.len() <= folded.len() {
        let end = position + literal.len();
        let matches = folded[position..end] == *literal
            && (!whole_words || (is_word_boundary(text, position) && is_word_boundary(text, end)));
        count += usize::from(matches);
        // An empty literal matches at every position.
        position = if matches && !literal.is_empty() {
            end
        } else {
            position + 1
        };
    }
    count
}

/// The representative of all characters that `re.IGNORECASE` takes for the same: the simple
/// lower-case form, and one of each group of letters that Python's `re._casefix` holds equal.
pub(crate) fn fold(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    let mut lower = character.to_lowercase();
    let simple = match (lower.next(), lower.next()) {
        (Some(single), None) => single,
        // İ is the only letter whose full lower case has two characters; its simple one is i.
        _ => 'i',
    };
    let group = GROUPS.iter().find(|group| group.contains(&simple));
    group.map_or(simple, |group| group[0])
}

/// Lower-case letters that share an upper-case one (Python 3.11, `re/_casefix.py`).
static GROUPS: LazyLock<Vec<Vec<char>>> = LazyLock::new(|| {
    const GROUPS: &str = "iı sſ µμ \u{345}ι\u{1fbe} \u{390}\u{1fd3} \u{3b0}\u{1fe3} βϐ εϵ θϑ κϰ πϖ \
        ρϱ ςσ φϕ в\u{1c80} д\u{1c81} о\u{1c82} с\u{1c83} т\u{1c84}\u{1c85} ъ\u{1c86} ѣ\u{1c87} \
        \u{1c88}ꙋ ṡẛ \u{fb05}\u{fb06}";
    let groups = GROUPS.split_whitespace();
    groups.map(|group| group.chars().collect()).collect()
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_is_ignored_as_python_does() {
        let find =
            |pattern: &str, text: &str| Pattern::ignoring_case(pattern).unwrap().occurs_in(text);
        assert!(find("kitten", "KİTTEN") && find("kitten", "kıtten") && find("mass", "maſs"));
        assert!(find("ΣΑΣ", "σας"));
        assert!(!find("strasse", "straße"));
    }

    #[test]
    fn occurrences_do_not_overlap() {
        assert_eq!(Pattern::ignoring_case("aa").unwrap().count("AaAaA"), 2);
        assert_eq!(Pattern::ignoring_case("a.").unwrap().count("abacad"), 3);
    }

    #[test]
    fn whole_words_end_where_python_says() {
        let find = |text: &str| Pattern::whole_words("the").unwrap().occurs_in(text);
        assert!(find("in The end") && find("the") && find("(the)"));
        // A combining mark is no word character for Python.
        assert!(find("the\u{301}"));
        assert!(!find("then") && !find("the_end") && !find("bathe"));
    }

    #[test]
    fn a_broken_pattern_is_an_error_and_a_costly_one_ends() {
        assert!(Pattern::ignoring_case("(a").is_err());
        let costly = Pattern::ignoring_case("(a*)*b").unwrap();
        assert_eq!(costly.count(&"a".repeat(5000)), 0);
    }
}
