//! Handles over the same weights with another adapter, or with their adapter merged.

use std::path::Path;

use super::Model;
use crate::ModelError;
use crate::adapter::{Adapter, LoraConfig};

impl Model {
    /// Returns a handle over the same weights with this adapter, in place of any other.
    ///
    /// # Errors
    /// When the adapter was made for a model of another shape.
    pub fn with_adapter(&self, adapter: &Adapter) -> Result<Self, ModelError> {
        adapter.check_fits(self.base.transformer.linear_modules())?;
        Ok(Self {
            adapter: Some(adapter.clone()),
            ..self.clone()
        })
    }

    /// Creates an adapter for this model that changes nothing yet, from which training can start.
    ///
    /// # Errors
    /// When an option is invalid, or a target names no module of the model.
    pub fn untrained_adapter(&self, lora: &LoraConfig, seed: u64) -> Result<Adapter, ModelError> {
        let modules = self.base.transformer.linear_modules();
        Adapter::untrained(self.name(), modules, lora, seed)
    }

    /// Returns a handle over the same weights with the adapter in `folder`, which PEFT or
    /// [`Adapter::save`] wrote.
    ///
    /// # Errors
    /// When the folder holds no adapter, an adapter for a model of another shape, or one with an
    /// option of PEFT that is not supported.
    pub fn load_adapter(&self, folder: impl AsRef<Path>) -> Result<Self, ModelError> {
        let adapter = Adapter::load(folder.as_ref(), &self.base.transformer)?;
        self.with_adapter(&adapter)
    }

    /// Returns a handle that computes with the adapter's updates added to the weights,
    /// `W + alpha / r * B A`.
    ///
    /// It is as fast as a model without an adapter, and takes memory for copies of the adapted
    /// weights. The weights that other handles use do not change. In a batch with other adapters,
    /// and in training, the updates are still computed beside the weights.
    ///
    /// # Errors
    /// When the handle has no adapter.
    pub fn merge(&self) -> Result<Self, ModelError> {
        let Some(adapter) = &self.adapter else {
            let detail = format!("{} has no adapter to merge", self.base.name);
            return Err(ModelError::Adapter { detail });
        };
        let merged = self.base.transformer.merged(adapter)?;
        Ok(Self {
            adapter: Some(adapter.with_merged(merged)),
            ..self.clone()
        })
    }

    /// Returns the handle as it was before [`Model::merge`]. Its results are the same to the last bit.
    #[must_use]
    pub fn unmerge(&self) -> Self {
        Self {
            adapter: self.adapter.as_ref().map(Adapter::without_merged),
            ..self.clone()
        }
    }

    /// Returns a handle over the same weights without an adapter.
    #[must_use]
    pub fn without_adapter(&self) -> Self {
        Self {
            adapter: None,
            ..self.clone()
        }
    }
}
