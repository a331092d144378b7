//! SmolLM2 compared with `transformers` and `peft` on the same file, and behaviour that every model
//! must have.
//!
//! `tests/reference/smollm2_greedy.py` and `smollm2_sft.py` recorded the reference values. Without
//! the model file every test is skipped.
#![expect(clippy::unwrap_used, reason = "tests")]

mod generation;
mod handles;
mod reference;
mod training;
