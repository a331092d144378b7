//! A model as a folder that `transformers` reads.
//!
//! - [`config`]: its `config.json`; [`weights`]: its safetensors files;
//! - [`auxiliary_files`]: tokenizer, chat templates and the like; [`file_names`]: which files are part of it.

mod auxiliary_files;
mod config;
mod file_names;
mod weights;

pub(crate) use auxiliary_files::{copy_auxiliary_files, write_auxiliary_files};
pub(crate) use config::{CONFIG, SavedConfig};
pub(crate) use file_names::is_model_file;
pub(crate) use weights::write_weights;
