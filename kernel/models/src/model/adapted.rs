//! Handles of the same weights with another adapter, or another way to compute with it.

use std::path::Path;

use super::Model;
use crate::ModelError;
use crate::adapter::{Adapter, LoraConfig};

impl Model {
    /// A handle over the same weights with this adapter in place of any other.
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

    /// A new adapter for this model that changes nothing yet: where training begins.
    ///
    /// # Errors
    /// When the options make no sense or name modules that the model does not have.
    pub fn untrained_adapter(&self, lora: &LoraConfig, seed: u64) -> Result<Adapter, ModelError> {
        let maps = self.base.transformer.linear_modules();
        Adapter::untrained(self.name(), maps, lora, seed)
    }

    /// A handle over the same weights with the adapter in `folder`, which PEFT or
    /// [`Adapter::save`] wrote.
    ///
    /// # Errors
    /// When the folder holds no adapter, one for a model of another shape, or one that PEFT would
    /// compute in a way that is not supported.
    pub fn load_adapter(&self, folder: impl AsRef<Path>) -> Result<Self, ModelError> {
        let adapter = Adapter::load(folder.as_ref(), &self.base.transformer)?;
        self.with_adapter(&adapter)
    }

    /// A handle that computes with the adapter's updates added to the weights, W + alpha / r * B A:
    /// as fast as a model without an adapter, for the memory of the matrices that are adapted. The
    /// weights that other handles use stay as they are.
    ///
    /// In a batch with other adapters, and in training, the updates are computed as before.
    ///
    /// # Errors
    /// When the handle has no adapter.
    pub fn merge(&self) -> Result<Self, ModelError> {
        let Some(adapter) = &self.adapter else {
            let detail = format!("{} has none to merge", self.base.name);
            return Err(ModelError::Adapter { detail });
        };
        let matrices = self.base.transformer.merged(adapter)?;
        Ok(Self {
            adapter: Some(adapter.with_merged(matrices)),
            ..self.clone()
        })
    }

    /// The handle before [`Model::merge`], to the last bit.
    #[must_use]
    pub fn unmerge(&self) -> Self {
        Self {
            adapter: self.adapter.as_ref().map(Adapter::without_merged),
            ..self.clone()
        }
    }

    /// A handle over the same weights without an adapter.
    #[must_use]
    pub fn without_adapter(&self) -> Self {
        Self {
            adapter: None,
            ..self.clone()
        }
    }
}
