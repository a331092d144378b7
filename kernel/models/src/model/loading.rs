//! From files to a handle.

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
    /// Loads the model named `smollm2` (`SmolLM2-135M-Instruct`), a `.gguf` file, a folder of
    /// safetensors files as Hugging Face lays them out, or the model of a Hugging Face name or one
    /// of the study's aliases (`qwen4b`), which is downloaded if it is not in the Hugging Face
    /// cache.
    ///
    /// It goes to the GPU if there is one, where weights stay what they are in the file; on the
    /// CPU they become `f32`. [`Model::load_with`] chooses otherwise.
    ///
    /// # Errors
    /// When there is no such model, its file is damaged or of an unsupported kind, or no device
    /// has room for it.
    pub fn load(name_or_path: &str) -> Result<Self, ModelError> {
        Self::load_with(name_or_path, &LoadOptions::default())
    }

    /// [`Model::load`] to the devices and in the precision of `options`.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(name_or_path: &str, options: &LoadOptions) -> Result<Self, ModelError> {
        let located = locate(name_or_path)?;
        // Declared before what borrows it.
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

    /// A model with the configuration, tokenizer and chat template of `folder` and random weights:
    /// as fast as the real one, and no wiser than a die. For measuring speed without a download.
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
