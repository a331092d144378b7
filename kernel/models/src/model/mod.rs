//! The handle of a loaded model.
//!
//! - [`handle`]: the handle and what it tells; [`loading`]: from files to a handle; [`saving`]: and
//!   back;
//! - [`adapted`]: the same weights with another adapter;
//! - [`rendering`]: from chats to text; [`examples`]: and on to tokens;
//! - [`likelihood`]: logits and log-probabilities.

mod adapted;
mod examples;
mod handle;
mod likelihood;
mod loading;
mod rendering;
mod saving;

pub use handle::Model;
pub use saving::SaveOptions;
