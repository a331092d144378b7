//! Language models on libtorch: loading, generation, scoring and fine-tuning.
//!
//! A [`Model`] is a cheap handle on weights, a tokenizer and a chat template:
//!
//! ```no_run
//! use offmodel_models::{Chat, Model, Sampling, SftOptions, fine_tune};
//!
//! let student = Model::load("smollm2")?;
//! let chats = [Chat::user("What is the capital of France?")];
//! let response = student.generate(&chats, &Sampling::greedy())?.remove(0);
//! let train_set = [chats[0].clone().assistant("**Paris**")];
//! let tuned = fine_tune(&student, &train_set, &SftOptions::default())?;
//! let after = student.with_adapter(&tuned.adapter)?;
//! println!("{} -> {}", response.text, after.perplexity(&train_set)?);
//! # Ok::<(), offmodel_models::ModelError>(())
//! ```
//!
//! | modules | purpose |
//! |---|---|
//! | [`model`], [`load`] | the handle; options for loading one |
//! | [`locate`], [`aliases`], [`hub`] | finding a model's files; the study's names; downloads |
//! | [`checkpoint`], [`gguf`], [`configuration`] | reading weights and the model's shape |
//! | [`device`] | which layers go to which device |
//! | [`transformer`], [`adapter`] | the computation; LoRA updates of it |
//! | [`tokenizer`], [`chat`] | text and tokens; conversations and chat templates |
//! | [`generation`], [`scoring`] | responses; log-probabilities |
//! | [`training`], [`example`] | fine-tuning; chats as tokens to predict |
//! | [`saved`], [`atomic_folder`] | writing a model as a folder, which appears as a whole |

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
