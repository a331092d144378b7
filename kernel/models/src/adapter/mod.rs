//! Low-rank adapters, with the definitions of PEFT.
//!
//! - [`config`] and [`targets`]: the options; [`lora`]: the updates;
//! - [`adapters`]: which token of a pass uses which;
//! - [`folder`] with [`peft_config`] and [`stacked`]: PEFT's files.

mod config;
mod folder;
mod lora;
mod peft_config;
mod stacked_experts;
mod targets;
mod token_adapters;

pub use config::LoraConfig;
pub use lora::Adapter;
pub use targets::Targets;
pub(crate) use token_adapters::{AdapterGroup, Adapters};
