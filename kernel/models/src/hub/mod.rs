//! Models of the Hugging Face hub, by way of the cache that Python's `huggingface_hub` uses too.
//!
//! Only what a model is loaded from is fetched: its configuration, tokenizer, chat template and
//! safetensors. Files appear in the cache once they are whole and have been checked; a download
//! that was cut off or interrupted goes on where it was.
//!
//! - [`settings`]: what the environment says;
//! - [`snapshot`]: the layout of the cache; [`listing`]: what a repository has, and what of it is
//!   needed;
//! - [`transfer`]: one file over HTTP; [`fetch`]: all of them.

mod fetch;
mod listing;
mod settings;
mod snapshot;
#[cfg(test)]
mod tests;
mod transfer;

pub(crate) use fetch::model;
pub(crate) use settings::Settings;
pub(crate) use snapshot::{Repository, shards};
