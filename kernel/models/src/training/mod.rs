//! Supervised fine-tuning of an adapter; `README.md` in this folder explains the design.
//!
//! | module | purpose |
//! |---|---|
//! | [`sft`] | [`fine_tune`]: the training loop |
//! | [`options`] | [`SftOptions`] |
//! | [`gradients`] | loss and gradients of one batch |
//! | [`adam`] | the optimizer |

mod adam;
mod gradients;
mod options;
mod sft;

pub use options::SftOptions;
pub use sft::{FineTuned, TrainingStep, fine_tune};
