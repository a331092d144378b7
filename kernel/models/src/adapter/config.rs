//! The options of an adapter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Targets;
use crate::ModelError;

/// What to adapt and how strongly, in PEFT's terms. Defaults are the study's: rank 32 on attention,
/// MLP and output layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// Rank r of the update.
    pub rank: i64,
    /// The update is scaled by alpha / r.
    pub alpha: f64,
    /// The modules to adapt. A router is `gate` (Qwen3-MoE, DeepSeek-V3) or `router.proj`
    /// (Gemma 4).
    pub targets: Targets,
    /// Probability with which an input of A is dropped in training. PEFT does not load an adapter
    /// with dropout for experts or a `gate`.
    pub dropout: f64,
    /// Scales by alpha / sqrt(r) instead (rank-stabilised LoRA, <https://arxiv.org/abs/2312.03732>).
    #[serde(default)]
    pub rslora: bool,
    /// Other ranks, by a regular expression for the end of a module's name: whole, or from after a
    /// dot. The first that matches counts. A `gate` is `gate.weight` here, as in PEFT.
    #[serde(default)]
    pub rank_pattern: BTreeMap<String, i64>,
    /// Other alphas, likewise.
    #[serde(default)]
    pub alpha_pattern: BTreeMap<String, f64>,
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
            targets: TARGETS.into(),
            dropout: 0.0,
            rslora: false,
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
        }
    }
}

impl LoraConfig {
    /// The factor of an update of this rank and alpha.
    pub(super) fn scale(&self, rank: i64, alpha: f64) -> f64 {
        match self.rslora {
            true => alpha / (rank as f64).sqrt(),
            false => alpha / rank as f64,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ModelError> {
        let wrong = |option, found: String, expected| ModelError::Option {
            option,
            found,
            expected,
        };
        for &rank in [&self.rank].into_iter().chain(self.rank_pattern.values()) {
            if rank < 1 {
                return Err(wrong("rank", rank.to_string(), "at least 1"));
            }
        }
        for &alpha in [&self.alpha].into_iter().chain(self.alpha_pattern.values()) {
            if !alpha.is_finite() {
                return Err(wrong("alpha", alpha.to_string(), "a finite number"));
            }
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
