use std::sync::Arc;

use offmodel_models::Chat;
use serde::{Deserialize, Serialize};

use super::grader::Grader;

/// One question of a benchmark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Identifies the item: unique within the benchmark and the same in every run.
    pub id: String,
    /// Difficulty, from 1; always 1 in a benchmark without levels.
    pub level: u32,
    /// The question, as the user message.
    pub prompt: String,
    /// The correct answer, in the form that the grader compares.
    pub expected: String,
}

/// Items, the prompt around them, and the grader of the responses.
#[derive(Debug, Clone)]
pub struct Benchmark {
    /// Name of the benchmark in results.
    pub name: String,
    /// The system prompt; if none, the default of the chat template applies.
    pub system: Option<String>,
    /// The questions, in order.
    pub items: Vec<Item>,
    /// Grades the responses.
    pub grader: Arc<dyn Grader>,
}

impl Benchmark {
    /// Creates a benchmark without a system prompt.
    pub fn new(name: impl Into<String>, items: Vec<Item>, grader: impl Grader + 'static) -> Self {
        Self {
            name: name.into(),
            system: None,
            items,
            grader: Arc::new(grader),
        }
    }

    /// Sets the system prompt of every item.
    #[must_use]
    pub fn with_system(mut self, system: impl Into<String>) -> Self {
        self.system = Some(system.into());
        self
    }

    /// The chat that the model responds to for `item`.
    pub fn chat(&self, item: &Item) -> Chat {
        let chat = Chat::user(item.prompt.clone());
        match &self.system {
            Some(system) => chat.system(system.clone()),
            None => chat,
        }
    }

    /// The difficulty levels that occur, ascending.
    pub fn levels(&self) -> Vec<u32> {
        let mut levels: Vec<u32> = self.items.iter().map(|item| item.level).collect();
        levels.sort_unstable();
        levels.dedup();
        levels
    }
}
