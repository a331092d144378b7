use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::score::{LevelScore, Score};

/// The record of one item: prompt, response and verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// Id of the item.
    pub item: String,
    /// Difficulty of the item, from 1.
    pub level: u32,
    /// The question, as the user message.
    pub prompt: String,
    /// The model's response.
    pub response: String,
    /// Tokens of the response, including the end token if there is one; 0 if an API does not report
    /// them.
    pub tokens: usize,
    /// Whether the model ended the response itself, rather than the token limit.
    pub finished: bool,
    /// The answer that the grader extracted from the response.
    pub extracted: Option<String>,
    /// The correct answer.
    pub expected: String,
    /// Whether the extracted answer is correct.
    pub correct: bool,
    /// The grader's reason, in one sentence.
    pub explanation: String,
}

/// All samples of one benchmark, in the order of its items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Name of the benchmark.
    pub benchmark: String,
    /// One sample for each item.
    pub samples: Vec<Sample>,
}

impl Evaluation {
    /// Accuracy over all levels.
    pub fn score(&self) -> Score {
        Score::of(self.samples.iter().map(|sample| sample.correct))
    }

    /// Accuracy of each level, ascending.
    pub fn score_by_level(&self) -> Vec<LevelScore> {
        let mut levels: BTreeMap<u32, Vec<bool>> = BTreeMap::new();
        for sample in &self.samples {
            levels.entry(sample.level).or_default().push(sample.correct);
        }
        levels
            .into_iter()
            .map(|(level, correct)| LevelScore {
                level,
                score: Score::of(correct),
            })
            .collect()
    }

    /// Share of responses that the model ended itself. If it is low, the token limit influenced the
    /// score.
    pub fn finished(&self) -> Score {
        Score::of(self.samples.iter().map(|sample| sample.finished))
    }

    /// The text of every response, for example for a style table.
    pub fn responses(&self) -> Vec<String> {
        self.samples
            .iter()
            .map(|sample| sample.response.clone())
            .collect()
    }
}
