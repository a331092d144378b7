//! Supervised fine-tuning of an adapter.
//!
//! - [`options`]: what may be chosen;
//! - [`sft`]: the training loop, from chats to an adapter;
//! - [`gradients`]: loss and gradients of one batch;
//! - [`adam`]: the optimizer.

mod adam;
mod gradients;
mod options;
mod sft;

pub use options::SftOptions;
pub use sft::{FineTuned, TrainingStep, fine_tune};
