use std::sync::Arc;

use offmodel_models::Chat;
use serde::{Deserialize, Serialize};

use super::grader::Grader;

/// One question of a benchmark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name, unique in the benchmark and the same in every run.
    pub id: String,
    /// Its difficulty, from 1; 1 throughout where a benchmark has no levels.
    pub level: u32,
    /// What the model is asked.
    pub prompt: String,
    /// The right answer, in the form that the grader compares.
    pub expected: String,
}

/// Items, the prompt around them, and the grader that judges the answers.
#[derive(Debug, Clone)]
pub struct Benchmark {
    /// Its name, as in the results.
    pub name: String,
    /// The system prompt; without one, the chat template's own.
    pub system: Option<String>,
    /// What is asked, in order.
    pub items: Vec<Item>,
    /// Who judges.
    pub grader: Arc<dyn Grader>,
}

impl Benchmark {
    /// A benchmark without system prompt.
    pub fn new(name: impl Into<String>, items: Vec<Item>, grader: impl Grader + 'static) -> Self {
        Self {
            name: name.into(),
            system: None,
            items,
            grader: Arc::new(grader),
        }
    }

    /// Asks every item under this system prompt.
    #[must_use]
    pub fn with_system(mut self, system: impl Into<String>) -> Self {
        self.system = Some(system.into());
        self
    }

    /// The chat that asks an item.
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
