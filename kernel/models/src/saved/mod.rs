//! A model as a folder that `transformers` reads.
//!
//! | module | purpose |
//! |---|---|
//! | [`saved_config`] | `config.json` |
//! | [`weights`] | the safetensors files |
//! | [`auxiliary_files`] | tokenizer, chat templates and generation settings |
//! | [`file_names`] | which files belong to a saved model |

mod auxiliary_files;
mod file_names;
mod saved_config;
mod weights;

pub(crate) use auxiliary_files::{copy_auxiliary_files, write_auxiliary_files};
pub(crate) use file_names::is_model_file;
pub(crate) use saved_config::{CONFIG, SavedConfig};
pub(crate) use weights::write_weights;
