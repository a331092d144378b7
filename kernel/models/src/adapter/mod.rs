//! Low-rank adapters, with the definitions of PEFT.
//!
//! - [`config`] and [`targets`]: the options; [`lora`]: the updates;
//! - [`adapters`]: which token of a pass uses which;
//! - [`folder`] with [`peft_config`] and [`stacked`]: PEFT's files.

mod adapters;
mod config;
mod folder;
mod lora;
mod peft_config;
mod stacked;
mod targets;

pub(crate) use adapters::{Adapters, Share};
pub use config::LoraConfig;
pub use lora::Adapter;
pub use targets::Targets;
