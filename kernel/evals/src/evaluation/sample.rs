use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::score::{LevelScore, Score};

/// The record of one item asked and graded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The item's id.
    pub item: String,
    /// The item's difficulty, from 1.
    pub level: u32,
    /// What the model was asked.
    pub prompt: String,
    /// What it answered.
    pub response: String,
    /// Tokens of the answer, with the end token where there is one; 0 where an API does not say.
    pub tokens: usize,
    /// Whether the model ended the answer, rather than the token limit.
    pub finished: bool,
    /// What the grader took for the answer.
    pub extracted: Option<String>,
    /// The right answer.
    pub expected: String,
    /// The verdict.
    pub correct: bool,
    /// Why.
    pub explanation: String,
}

/// All samples of one benchmark, in the order of its items.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The benchmark's name.
    pub benchmark: String,
    /// The samples.
    pub samples: Vec<Sample>,
}

impl Evaluation {
    /// Share of right answers over all levels.
    pub fn score(&self) -> Score {
        Score::of(self.samples.iter().map(|sample| sample.correct))
    }

    /// Share of right answers of each level, ascending.
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

    /// Share of answers that the model ended itself. A low one means that the token limit, and
    /// not only the model, decided the score.
    pub fn finished(&self) -> Score {
        Score::of(self.samples.iter().map(|sample| sample.finished))
    }

    /// The answers as texts, for example for a style table.
    pub fn responses(&self) -> Vec<String> {
        self.samples
            .iter()
            .map(|sample| sample.response.clone())
            .collect()
    }
}
