//! Language models on libtorch: loading, generation, scoring and fine-tuning.
//!
//! A [`Model`] is a cheap handle of weights on a device with their tokenizer and chat template:
//!
//! ```no_run
//! use offmodel_models::{Chat, Model, Sampling, SftOptions, fine_tune};
//!
//! let student = Model::load("smollm2")?;
//! let chats = [Chat::user("What is the capital of France?")];
//! let answer = student.generate(&chats, &Sampling::greedy())?.remove(0);
//! let taught = [chats[0].clone().assistant("**Paris**")];
//! let tuned = fine_tune(&student, &taught, &SftOptions::default())?;
//! let after = student.with_adapter(&tuned.adapter)?;
//! println!("{} -> {}", answer.text, after.perplexity(&taught)?);
//! # Ok::<(), offmodel_models::ModelError>(())
//! ```
//!
//! - [`model`]: the handle; [`load`]: what may be chosen when one is loaded; [`device`]: where it
//!   goes;
//! - [`chat`]: conversations and templates; [`tokenizer`]: text and tokens;
//! - [`gguf`]: the file format; [`checkpoint`]: weights by name, whatever the format;
//!   [`configuration`]: the shape of a model; [`locate`]: where files are; [`aliases`]: the study's
//!   names; [`hub`]: downloads;
//! - [`saved`]: a model as a folder of files, which [`atomic_folder`] puts in place as a whole;
//! - [`transformer`]: the computation; [`adapter`]: low-rank updates of it;
//! - [`generation`]: responses; [`scoring`]: log-probabilities; [`training`]: fine-tuning;
//!   [`example`]: chats as tokens to predict.

mod adapter;
mod aliases;
mod atomic_folder;
mod chat;
mod checkpoint;
mod configuration;
mod device;
mod error;
mod example;
mod generation;
pub mod gguf;
mod hub;
mod load;
mod locate;
mod model;
mod saved;
mod scoring;
mod tokenizer;
mod training;
mod transformer;

pub use adapter::{Adapter, LoraConfig, Targets};
pub use chat::{Chat, Message, Role};
pub use configuration::Configuration;
pub use device::BestDevice;
pub use error::ModelError;
pub use generation::{
    Alternative, Delta, FinishReason, Generation, Prompt, Response, Sampling, StoppedGeneration,
};
pub use load::{LoadOptions, Precision};
pub use model::{Model, SaveOptions};
pub use tokenizer::Tokenizer;
pub use training::{FineTuned, SftOptions, TrainingStep, fine_tune};
