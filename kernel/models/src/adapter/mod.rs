//! Low-rank adapters, with the definitions of PEFT.
//!
//! - [`config`]: the options; [`lora`]: the updates;
//! - [`adapters`]: which token of a pass uses which.

mod adapters;
mod config;
mod lora;

pub(crate) use adapters::{Adapters, Share};
pub use config::LoraConfig;
pub use lora::Adapter;
