//! A grader for answers that are one whole number.

use super::grader::{Grader, ResponseText, Verdict};
use super::task::Item;

/// Longest answer in digits; a longer run of digits is not accepted as an answer.
const MAX_DIGITS: usize = 15;
/// Bytes at the end of a response that are searched, so that a huge response costs no time.
const MAX_SEARCHED_BYTES: usize = 64 << 10;
const OPENING: &str = "<answer>";
const CLOSING: &str = "</answer>";

/// Accepts the whole number that the item expects.
///
/// The answer is the content of the last closed `<answer>...</answer>`, which must be a whole
/// number and nothing else; without such a pair, it is the last number in the text. A number with
/// a fraction (`2.5`, `3/4`) or with more than 15 digits counts as a wrong answer. Signs, thousands
/// separators (`1,250`), a final full stop and leading zeros are understood; spelled-out numbers
/// are not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IntegerAnswer;

impl Grader for IntegerAnswer {
    fn grade(&self, item: &Item, response: ResponseText<'_>) -> Verdict {
        let Extraction { value, from } = extract(response.text);
        let correct = value.is_some_and(|value| value.to_string() == item.expected);
        let cut = if response.finished {
            ""
        } else {
            "; the response was cut at its token limit"
        };
        let explanation = match value {
            Some(value) if correct => format!("{from} is {value}, as expected{cut}"),
            Some(value) => format!("{from} is {value}, expected {}{cut}", item.expected),
            None => format!("{from}, expected {}{cut}", item.expected),
        };
        Verdict {
            correct,
            extracted: value.map(|value| value.to_string()),
            explanation,
        }
    }
}

/// The answer found in a response.
struct Extraction {
    value: Option<i64>,
    /// Where it was found, or why there is none, as the start of an explanation.
    from: &'static str,
}

fn extract(text: &str) -> Extraction {
    let text = tail(text);
    if let Some(tagged) = last_tagged(text) {
        let value = tagged.trim().trim_end_matches('.');
        let value = numbers(value)
            .last()
            .filter(|number| number.start == 0 && number.end == value.len())
            .and_then(|number| number.whole);
        return match value {
            Some(_) => Extraction {
                value,
                from: "the last <answer>",
            },
            None => Extraction {
                value,
                from: "the last <answer> holds no whole number",
            },
        };
    }
    match numbers(text).last() {
        None => Extraction {
            value: None,
            from: "there is no number in the response",
        },
        Some(Number { whole: None, .. }) => Extraction {
            value: None,
            from: "the last number is not a whole number",
        },
        Some(number) => Extraction {
            value: number.whole,
            from: "the last number",
        },
    }
}

fn tail(text: &str) -> &str {
    let start = text.len().saturating_sub(MAX_SEARCHED_BYTES);
    let start = (start..=text.len())
        .find(|&at| text.is_char_boundary(at))
        .unwrap_or(0);
    &text[start..]
}

fn last_tagged(text: &str) -> Option<&str> {
    let end = text.rfind(CLOSING)?;
    let start = text[..end].rfind(OPENING)? + OPENING.len();
    Some(&text[start..end])
}

/// A number in a text and its byte range.
struct Number {
    start: usize,
    end: usize,
    /// The value; none if the number has a fraction or too many digits.
    whole: Option<i64>,
}

/// Yields the numbers of a text from left to right.
fn numbers(text: &str) -> impl Iterator<Item = Number> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let digits = at + bytes.get(at..)?.iter().position(u8::is_ascii_digit)?;
        let number = number_at(bytes, digits);
        at = number.end;
        Some(number)
    })
}

/// Reads the number whose first digit is at byte `digits`.
fn number_at(bytes: &[u8], digits: usize) -> Number {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = digits;
    let mut magnitude = 0_i64;
    let mut count = 0;
    loop {
        if digit(end) {
            count += 1;
            if count <= MAX_DIGITS {
                magnitude = magnitude * 10 + i64::from(bytes[end] - b'0');
            }
            end += 1;
        } else if bytes.get(end) == Some(&b',') && is_group(bytes, end + 1) {
            end += 1;
        } else {
            break;
        }
    }
    let mut whole = count <= MAX_DIGITS;
    while matches!(bytes.get(end), Some(b'.' | b'/')) && digit(end + 1) {
        // Models write 7.0 for 7, so a fraction of zeros is accepted; 7.5 and 7/2 are not whole.
        let fraction = end + 1;
        end = fraction
            + bytes[fraction..]
                .iter()
                .take_while(|b| b.is_ascii_digit())
                .count();
        whole &= bytes[fraction - 1] == b'.' && bytes[fraction..end].iter().all(|b| *b == b'0');
    }
    let signed = digits > 0 && bytes[digits - 1] == b'-' && is_sign(bytes, digits - 1);
    Number {
        start: if signed { digits - 1 } else { digits },
        end,
        whole: whole.then_some(if signed { -magnitude } else { magnitude }),
    }
}

/// Whether exactly three digits start at byte `at`, as after a thousands separator.
fn is_group(bytes: &[u8], at: usize) -> bool {
    let digits = bytes.get(at..).unwrap_or_default().iter().take(4);
    digits.take_while(|byte| byte.is_ascii_digit()).count() == 3
}

/// Whether the minus at byte `at` is a sign, rather than a subtraction (`9-4`, `a-4`).
fn is_sign(bytes: &[u8], at: usize) -> bool {
    at.checked_sub(1).is_none_or(|before| {
        let before = bytes[before];
        !before.is_ascii_alphanumeric() && before != b')'
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extracted(text: &str) -> Option<i64> {
        extract(text).value
    }

    #[test]
    fn the_last_number_is_the_answer() {
        assert_eq!(extracted("7 + 5 = 12."), Some(12));
        assert_eq!(extracted("12 apples and 3 pears"), Some(3));
        assert_eq!(extracted("The answer is **-4**"), Some(-4));
        assert_eq!(extracted("$\\boxed{17}$ apples"), Some(17));
        assert_eq!(extracted("007"), Some(7));
        assert_eq!(extracted("12.0"), Some(12));
    }

    #[test]
    fn a_minus_between_numbers_is_no_sign() {
        assert_eq!(extracted("9-4"), Some(4));
        assert_eq!(extracted("9 - 4"), Some(4));
        assert_eq!(extracted("9 = -4"), Some(-4));
    }

    #[test]
    fn thousands_separators_are_part_of_the_number_and_lists_are_not() {
        assert_eq!(extracted("about 1,250"), Some(1250));
        assert_eq!(extracted("1,250,000"), Some(1_250_000));
        assert_eq!(extracted("2, 4, 6"), Some(6));
        assert_eq!(extracted("12,34"), Some(34));
        assert_eq!(extracted("1,2500"), Some(2500));
    }

    #[test]
    fn fractions_and_endless_digits_are_not_whole_numbers() {
        assert_eq!(extracted("it is 2.5"), None);
        assert_eq!(extracted("it is 3/4"), None);
        assert_eq!(extracted(&"9".repeat(1000)), None);
        assert_eq!(extracted("eleven"), None);
        assert_eq!(extracted(""), None);
    }

    #[test]
    fn a_closed_answer_tag_wins_and_must_hold_one_whole_number() {
        assert_eq!(
            extracted("<answer>12</answer> because 7 + 6 is 13"),
            Some(12)
        );
        assert_eq!(
            extracted("<answer>1</answer> no, <answer> 2. </answer>"),
            Some(2)
        );
        assert_eq!(extracted("<answer>12 apples</answer>"), None);
        assert_eq!(extracted("<answer>12 or 13</answer>"), None);
        assert_eq!(extracted("<answer>2.5</answer> 12"), None);
        assert_eq!(extracted("<answer>12"), Some(12));
    }

    #[test]
    fn a_verdict_says_why() {
        let item = Item {
            id: "1".to_owned(),
            level: 1,
            prompt: "What is 7 + 5?".to_owned(),
            expected: "12".to_owned(),
        };
        let grade = |text, finished| IntegerAnswer.grade(&item, ResponseText { text, finished });
        assert!(grade("12", true).correct);
        let wrong = grade("It is 13", false);
        assert_eq!(
            (
                wrong.correct,
                wrong.extracted.as_deref(),
                wrong.explanation.as_str()
            ),
            (
                false,
                Some("13"),
                "the last number is 13, expected 12; the response was cut at its token limit"
            )
        );
        assert_eq!(
            grade("twelve", true).explanation,
            "there is no number in the response, expected 12"
        );
    }

    #[test]
    fn only_the_end_of_a_huge_response_is_searched() {
        let text = format!("5{}", "é".repeat(MAX_SEARCHED_BYTES));
        assert_eq!(extracted(&text), None);
        assert_eq!(extracted(&format!("{text} 6")), Some(6));
    }
}
