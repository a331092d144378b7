//! The handle of a loaded model.
//!
//! | module | purpose |
//! |---|---|
//! | [`handle`] | [`Model`] and its properties |
//! | [`loading`], [`saving`] | from files to a handle, and back |
//! | [`adapted`] | handles over the same weights with another adapter |
//! | [`rendering`] | from chats to text |
//! | [`examples`] | from chats to tokens for training and scoring |
//! | [`likelihood`] | logits, log-probabilities and perplexity |
//!
//! The methods that generate responses are in [`crate::generation`].

mod adapted;
mod examples;
mod handle;
mod likelihood;
mod loading;
mod rendering;
mod saving;

pub use handle::Model;
pub use saving::SaveOptions;
