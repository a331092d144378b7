//! From a handle to files.

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
    /// The precision of the saved weights. By default it is that of the model: on a CPU `f32`,
    /// unless it was loaded otherwise.
    #[must_use]
    pub fn precision(mut self, precision: Precision) -> Self {
        self.precision = Some(precision);
        self
    }

    /// Bytes of the tensors of one file, if it has more than one: 5 GB by default. Of a model on
    /// a GPU, so much is copied to the memory of the CPU at once.
    #[must_use]
    pub fn shard_bytes(mut self, bytes: u64) -> Self {
        self.shard_bytes = bytes;
        self
    }
}

impl Model {
    /// Saves the model as `save_pretrained` of `transformers` does: a folder with `config.json`,
    /// weights as safetensors files, tokenizer, chat templates and generation settings, which
    /// `AutoModelForCausalLM.from_pretrained` and [`Model::load`] read. The folder appears as a
    /// whole; a model that is there is replaced.
    ///
    /// The weights are those that the handle computes with: of an adapter that was merged with
    /// [`Model::merge`], the sums. An output layer that is adapted and was the embedding before is
    /// saved as one of its own. Of a model of text and images the text model is saved; weights of
    /// eight bits or less are saved as what they stand for.
    ///
    /// # Errors
    /// When the handle has an adapter that is not merged ([`Adapter::save`](crate::Adapter::save)
    /// saves it alone), the folder has other files in it or cannot be written, the tokenizer's
    /// files are not any more where the model was loaded from, or the work is interrupted.
    pub fn save(&self, folder: impl AsRef<Path>) -> Result<(), ModelError> {
        self.save_with(folder, &SaveOptions::default())
    }

    /// [`Model::save`] in the precision and file sizes of `options`.
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
            let detail = "it is not merged: save the handle that Model::merge gives, or the adapter \
                          alone with Adapter::save";
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
            tied: !has_head,
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
