//! Saving: from a handle to files.

use std::path::Path;

use serde_json::json;

use super::Model;
use crate::atomic_folder::{write_file, write_folder};
use crate::saved::{
    CONFIG, SavedConfig, copy_auxiliary_files, is_model_file, write_auxiliary_files, write_weights,
};
use crate::{ModelError, Precision};

/// How a model is saved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SaveOptions {
    precision: Option<Precision>,
    shard_bytes: u64,
}

impl Default for SaveOptions {
    fn default() -> Self {
        Self {
            precision: None,
            shard_bytes: 5_000_000_000,
        }
    }
}

impl SaveOptions {
    /// Sets the precision of the saved weights. The default is the precision of the loaded model,
    /// which on a CPU is `f32` unless [`LoadOptions`](crate::LoadOptions) set another.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Sets the largest size of a file of weights; 5 GB by default. A single larger tensor is a file
    /// of its own. So much of a model on a GPU is copied to the CPU's memory at once.
    #[must_use]
    pub fn shard_bytes(mut self, bytes: u64) -> Self {
        self.shard_bytes = bytes;
        self
    }
}

impl Model {
    /// Saves the model as `save_pretrained` of `transformers` does, for [`Model::load`] and
    /// `AutoModelForCausalLM.from_pretrained`.
    ///
    /// The folder gets `config.json`, the weights as safetensors files, tokenizer, chat templates and
    /// generation settings. Readers see the whole folder or none. A model in the folder is replaced.
    ///
    /// The saved weights are those with which the handle computes, including an adapter that was
    /// merged by [`Model::merge`]. If the output layer is tied to the embedding and merging has
    /// changed it, it is saved as a tensor of its own. Of a model of text and images, the text model
    /// is saved. Quantised weights are saved dequantised.
    ///
    /// # Errors
    /// When the handle has an adapter that is not merged ([`Adapter::save`](crate::Adapter::save)
    /// saves an adapter alone), the folder holds other files or cannot be written, the tokenizer's
    /// files are no longer where the model was loaded from, or the work is interrupted.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), ModelError> {
        self.save_with(folder, &SaveOptions::default())
    }

    /// [`Model::save`] with the precision and file size of `options`.
    ///
    /// # Errors
    /// As [`Model::save`].
    pub fn save_with(
        &self,
        folder: impl AsRef<Path>,
        options: &SaveOptions,
    ) -> Result<(), ModelError> {
        if self
            .adapter
            .as_ref()
            .is_some_and(|adapter| !adapter.is_merged())
        {
            let detail = "it is not merged: save the handle that Model::merge returns, or the \
                          adapter alone with Adapter::save";
            return Err(ModelError::Adapter {
                detail: detail.to_owned(),
            });
        }
        let precision = options.precision.unwrap_or(self.precision());
        let _no_grad = tch::no_grad_guard();
        let tensors = self
            .base
            .transformer
            .checkpoint_tensors(self.adapter.as_ref())?;
        let has_head = tensors.iter().any(|tensor| tensor.name == "lm_head.weight");
        let saved_config = SavedConfig {
            configuration: &self.base.configuration,
            precision,
            is_tied: !has_head,
        };
        let mut config = saved_config.json(&self.base.config_json);
        if self.base.folder.is_none() {
            config["bos_token_id"] = json!(self.base.tokenizer.bos_token_id());
            config["eos_token_id"] = json!(self.base.tokenizer.eos_token_ids());
        }
        write_folder(folder.as_ref(), is_model_file, |folder| {
            write_file(&folder.join(CONFIG), format!("{config:#}\n").as_bytes())?;
            match &self.base.folder {
                Some(from) => copy_auxiliary_files(from, folder)?,
                None => write_auxiliary_files(
                    folder,
                    &self.base.tokenizer,
                    &self.base.templates,
                    self.base.configuration.max_position_embeddings,
                )?,
            }
            write_weights(folder, tensors, precision.kind(), options.shard_bytes)
        })
    }
}
