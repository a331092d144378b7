//! The options of an adapter.

use serde::{Deserialize, Serialize};

use crate::ModelError;

/// What to adapt and how strongly. Defaults are the study's: rank 32 on attention, MLP and output
/// layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Rank r of the update.
    pub rank: i64,
    /// The update is scaled by alpha / r.
    pub alpha: f64,
    /// Names of the modules to adapt: the last part of their Hugging Face name.
    pub targets: Vec<String>,
    /// Probability with which an input of A is dropped in training.
    pub dropout: f64,
}

impl Default for LoraConfig {
    fn default() -> Self {
        const TARGETS: [&str; 8] = [
            "q_proj",
            "k_proj",
            "v_proj",
            "o_proj",
            "gate_proj",
            "up_proj",
            "down_proj",
            "lm_head",
        ];
        Self {
            rank: 32,
            alpha: 32.0,
            targets: TARGETS.map(str::to_owned).to_vec(),
            dropout: 0.0,
        }
    }
}

impl LoraConfig {
    /// alpha / r.
    pub(crate) fn scale(&self) -> f64 {
        self.alpha / self.rank as f64
    }

    /// Whether the module with this full name is to be adapted.
    pub(crate) fn is_target(&self, module: &str) -> bool {
        let name = module.rsplit('.').next().unwrap_or(module);
        self.targets.iter().any(|target| target == name)
    }

    pub(crate) fn check(&self) -> Result<(), ModelError> {
        let wrong = |option, found: String, expected| ModelError::Option {
            option,
            found,
            expected,
        };
        if self.rank < 1 {
            return Err(wrong("rank", self.rank.to_string(), "at least 1"));
        }
        if !self.alpha.is_finite() {
            return Err(wrong("alpha", self.alpha.to_string(), "a finite number"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(wrong(
                "dropout",
                self.dropout.to_string(),
                "at least 0 and less than 1",
            ));
        }
        Ok(())
    }
}
