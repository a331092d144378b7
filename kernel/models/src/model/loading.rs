//! Loading: from files to a handle.

use std::path::Path;
use std::sync::Arc;

use super::Model;
use super::handle::Base;
use super::rendering::Rendering;
use crate::ModelError;
use crate::chat::{self, TemplateSources};
use crate::checkpoint::{Checkpoint, GgufCheckpoint, RandomCheckpoint, SafetensorsCheckpoint};
use crate::gguf::Gguf;
use crate::load::LoadOptions;
use crate::locate::{LocatedModel, locate};
use crate::tokenizer::Tokenizer;
use crate::transformer::Transformer;

impl Model {
    /// Loads a model onto the GPU, or onto the CPU if there is none.
    ///
    /// The model is `smollm2` (`SmolLM2-135M-Instruct`, which set-up installs), a `.gguf` file, a
    /// folder of safetensors files in Hugging Face's layout, a Hugging Face name, or an alias of the
    /// study such as `qwen4b`. The last two are downloaded unless they are in the Hugging Face cache.
    ///
    /// On a GPU the weights keep the precision of the file; on the CPU they become `f32`.
    /// [`Model::load_with`] takes other devices and precisions.
    ///
    /// # Errors
    /// When there is no such model, a file is damaged or not supported, or the devices do not have
    /// enough memory.
    pub fn load(name_or_path: &str) -> Result<Self, ModelError> {
        Self::load_with(name_or_path, &LoadOptions::default())
    }

    /// [`Model::load`] with the devices and the precision of `options`.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(name_or_path: &str, options: &LoadOptions) -> Result<Self, ModelError> {
        let located = locate(name_or_path)?;
        // Declared first, because `source` may borrow from it and is dropped before it.
        let file;
        let (source, tokenizer, templates): (Box<dyn Checkpoint>, _, _);
        if located.path.is_dir() {
            source = Box::new(SafetensorsCheckpoint::open(&located.path)?);
            source.configuration()?;
            tokenizer = Tokenizer::from_folder(&located.path)?;
            templates = chat::templates_from_folder(&located.path)?;
        } else {
            file = Gguf::open(&located.path)?;
            source = Box::new(GgufCheckpoint::new(&file));
            source.configuration()?;
            tokenizer = Tokenizer::from_gguf(&file)?;
            templates = chat::templates_from_gguf(&file)?;
        }
        Self::assemble(&located, source.as_ref(), tokenizer, templates, options)
    }

    /// Creates a model with the configuration, tokenizer and chat template of `folder` and random
    /// weights, to measure speed without a download.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn with_random_weights(folder: &Path, options: &LoadOptions) -> Result<Self, ModelError> {
        let located = LocatedModel {
            name: "random weights".to_owned(),
            path: folder.to_owned(),
            thinking: None,
        };
        let source = RandomCheckpoint::open(folder)?;
        let tokenizer = Tokenizer::from_folder(folder)?;
        let templates = chat::templates_from_folder(folder)?;
        Self::assemble(&located, &source, tokenizer, templates, options)
    }

    fn assemble(
        located: &LocatedModel,
        source: &dyn Checkpoint,
        tokenizer: Tokenizer,
        templates: TemplateSources,
        options: &LoadOptions,
    ) -> Result<Self, ModelError> {
        let rendering = Rendering::new(&templates, &tokenizer, located.thinking)?;
        let configuration = source.configuration()?;
        let placement = options.placement(&located.name, source, &configuration)?;
        let transformer = Transformer::load(source, &configuration, &placement)?;
        let base = Base {
            name: located.name.clone(),
            configuration,
            config_json: source.config_json()?,
            folder: located.path.is_dir().then(|| located.path.clone()),
            transformer,
            tokenizer,
            templates,
            device: placement.first_device(),
        };
        Ok(Self {
            base: Arc::new(base),
            adapter: None,
            rendering,
        })
    }
}
