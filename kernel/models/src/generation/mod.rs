//! Text generation with continuous batching; `README.md` in this folder explains the design.
//!
//! | module | purpose |
//! |---|---|
//! | [`generate`] | `Model::generate` and its variants: from prompts to requests |
//! | [`prompt`], [`sampling`], [`response`] | what the caller asks for and gets |
//! | [`handle`] | [`Generation`]: a call in progress, owned by the caller |
//! | [`stopped`] | [`StoppedGeneration`]: the error of a call that ended early, with its work |
//! | [`live`] | the text in a notebook while it is generated |
//! | [`engine`] | one step: admit, share prefixes, prefill, decode, recover from out of memory |
//! | [`scheduler`] | which sequences are in progress |
//! | [`sequence`] | one row of the batch: its request and its response so far |
//! | [`sampler`] | from logits to the next tokens |
//! | [`detokenizer`] | from tokens to text, one token at a time, with stop strings |
//! | [`kv_cache`] | the memory bound of the key-value cache |

mod detokenizer;
mod engine;
mod generate;
mod handle;
mod kv_cache;
mod live;
mod prompt;
mod response;
mod sampler;
mod sampling;
mod scheduler;
mod sequence;
mod stopped;
#[cfg(test)]
mod tests;

pub use handle::Generation;
pub use prompt::Prompt;
pub use response::{Alternative, Delta, FinishReason, Response};
pub use sampling::Sampling;
pub use stopped::StoppedGeneration;
