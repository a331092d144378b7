//! LoRA adapters with PEFT's definitions and file format.
//!
//! | module | purpose |
//! |---|---|
//! | [`config`], [`targets`] | `LoraConfig`, and which modules it selects |
//! | [`lora`] | [`Adapter`]: the matrices A and B, and the update that they compute |
//! | [`token_adapters`] | which adapter each token of a forward pass uses |
//! | [`folder`] | reading and writing PEFT's folders |
//! | [`peft_config`] | `adapter_config.json` |
//! | [`stacked_experts`] | PEFT's adapters of experts whose weights are one tensor |

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
