//! Low-rank adapters, with the definitions of PEFT.

mod config;
mod lora;

pub use config::LoraConfig;
pub use lora::Adapter;
