//! SmolLM2 against `transformers` and `peft` on the same file, and what must hold of any model.
//!
//! Reference values: `tests/reference/smollm2_greedy.py` and `smollm2_sft.py`. Every test skips,
//! and says so, where the model file is absent.
#![expect(clippy::unwrap_used, reason = "tests")]

mod generation;
mod handles;
mod reference;
mod training;
