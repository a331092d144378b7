//! Responses of a model to prompts.
//!
//! - [`model`]: the methods of the model's handle; [`prompt`], [`sampling`]: what is asked for;
//!   [`response`]: what comes out;
//! - [`handle`]: responses in progress, held by whoever asked; [`live`]: shown in a notebook;
//! - [`work`]: requests and how far they have come; [`transcript`]: their text, token by token;
//! - [`schedule`]: which of them are in progress; [`memory`]: how much memory they may take;
//! - [`decoding`]: one turn of the loop; [`sampler`]: from logits to the next tokens.

mod decoding;
mod handle;
mod live;
mod memory;
mod model;
mod prompt;
mod response;
mod sampler;
mod sampling;
mod schedule;
#[cfg(test)]
mod tests;
mod transcript;
mod work;

pub use handle::Generation;
pub use prompt::Prompt;
pub use response::{Alternative, Finish, Piece, Response};
pub use sampling::Sampling;
pub(crate) use work::Work;
