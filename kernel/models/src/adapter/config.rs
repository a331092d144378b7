//! The options of a LoRA adapter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Targets;
use crate::ModelError;

/// Which modules to adapt and how strongly, with the meaning of PEFT's `LoraConfig`.
///
/// The defaults are those of the study: rank 32 on attention, MLP and output layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoraConfig {
    /// The rank r of the updates: PEFT's `r`.
    pub rank: i64,
    /// The updates are scaled by alpha / r: PEFT's `lora_alpha`.
    pub alpha: f64,
    /// The modules to adapt: PEFT's `target_modules`. The router of a mixture of experts is `gate`
    /// (Qwen3-MoE, DeepSeek-V3) or `router.proj` (Gemma 4).
    pub targets: Targets,
    /// The probability that an input of A is dropped in training: PEFT's `lora_dropout`. PEFT does
    /// not load adapters of experts or of a `gate` that have dropout.
    pub dropout: f64,
    /// Scales the updates by alpha / sqrt(r) instead: PEFT's `use_rslora`, rank-stabilised LoRA
    /// (<https://arxiv.org/abs/2312.03732>).
    #[serde(default)]
    pub rslora: bool,
    /// Exceptions to `rank`. A key is a regular expression that has to match the whole name of a
    /// module, or the part after any dot in it; the first key that matches counts. As in PEFT, a
    /// router `gate` has the name `gate.weight` here.
    #[serde(default)]
    pub rank_pattern: BTreeMap<String, i64>,
    /// Exceptions to `alpha`, with the same kind of keys.
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
    /// The factor of an update with this rank and alpha.
    pub(super) fn scaling(&self, rank: i64, alpha: f64) -> f64 {
        if self.rslora {
            alpha / (rank as f64).sqrt()
        } else {
            alpha / rank as f64
        }
    }

    pub(crate) fn check(&self) -> Result<(), ModelError> {
        let invalid = |option, found: String, expected| ModelError::Option {
            option,
            found,
            expected,
        };
        for &rank in [&self.rank].into_iter().chain(self.rank_pattern.values()) {
            if rank < 1 {
                return Err(invalid("rank", rank.to_string(), "at least 1"));
            }
        }
        for &alpha in [&self.alpha].into_iter().chain(self.alpha_pattern.values()) {
            if !alpha.is_finite() {
                return Err(invalid("alpha", alpha.to_string(), "a finite number"));
            }
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(invalid(
                "dropout",
                self.dropout.to_string(),
                "at least 0 and less than 1",
            ));
        }
        Ok(())
    }
}
