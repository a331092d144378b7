use std::fmt;

use serde::{Deserialize, Serialize};

use super::task::Item;

/// What a model answered, as far as a grader may look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'text> {
    /// The text. It comes from a model: graders bound what they do with it.
    pub text: &'text str,
    /// Whether the model ended it, rather than the limit on its length.
    pub finished: bool,
}

/// A grader's judgement of one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether the answer is right.
    pub correct: bool,
    /// What was taken for the answer, in the form that is compared.
    pub extracted: Option<String>,
    /// Why, in one sentence.
    pub explanation: String,
}

/// Judges answers; the same answer always gets the same verdict.
pub trait Grader: fmt::Debug + Send + Sync {
    /// Judges the answer to one item.
    fn grade(&self, item: &Item, answer: Answer<'_>) -> Verdict;
}
