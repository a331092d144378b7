//! A model as a folder that `transformers` reads.
//!
//! - [`config`]: its `config.json`; [`weights`]: its safetensors files;
//! - [`companions`]: tokenizer, chat templates and the like; [`names`]: which files are part of it.

mod companions;
mod config;
mod names;
mod weights;

pub(crate) use companions::{copy_companions, write_companions};
pub(crate) use config::{CONFIG, Described};
pub(crate) use names::is_part;
pub(crate) use weights::write_weights;
