use std::fmt;

use serde::{Deserialize, Serialize};

use super::task::Item;

/// The part of a response that a grader sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseText<'text> {
    /// The text. A model wrote it, so graders bound the time and memory they spend on it.
    pub text: &'text str,
    /// Whether the model ended the response itself, rather than the token limit.
    pub finished: bool,
}

/// A grader's verdict on one response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the extracted answer is correct.
    pub correct: bool,
    /// The answer extracted from the response, in the form that is compared; none if there is none.
    pub extracted: Option<String>,
    /// The reason for the verdict, in one sentence.
    pub explanation: String,
}

/// Grades responses. Graders are deterministic: the same response always gets the same verdict.
pub trait Grader: fmt::Debug + Send + Sync {
    /// Grades the response to one item.
    fn grade(&self, item: &Item, response: ResponseText<'_>) -> Verdict;
}
