//! Responses of a model to prompts.
//!
//! - [`sampling`]: the options;
//! - [`sampler`]: from logits to the next tokens;
//! - [`decoding`]: the loop over rows in progress;
//! - [`response`]: what comes out.

mod decoding;
mod response;
mod sampler;
mod sampling;

pub(crate) use decoding::{Decoder, Request, respond};
pub use response::{Finish, Response};
pub use sampling::Sampling;
