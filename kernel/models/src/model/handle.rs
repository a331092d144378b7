//! The handle of a model, and the model's properties.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tch::Device;

use super::rendering::Rendering;
use crate::adapter::{Adapter, Adapters};
use crate::chat::TemplateSources;
use crate::tokenizer::Tokenizer;
use crate::transformer::{SharedTensor, Transformer};
use crate::{Configuration, Precision};

/// A model on a device, with its tokenizer and chat template.
///
/// Cloning is cheap. Clones, and handles with an adapter, share the weights.
#[derive(Clone)]
pub struct Model {
    pub(super) base: Arc<Base>,
    pub(super) adapter: Option<Adapter>,
    pub(super) rendering: Rendering,
}

/// The part that all handles of one model share.
pub(super) struct Base {
    pub(super) name: String,
    pub(super) configuration: Configuration,
    /// The model's original `config.json`.
    pub(super) config_json: Value,
    /// The folder from which the model was loaded; absent if that was a GGUF file.
    pub(super) folder: Option<PathBuf>,
    pub(super) transformer: Transformer,
    pub(super) tokenizer: Tokenizer,
    pub(super) templates: TemplateSources,
    /// The first device of the model.
    pub(super) device: Device,
}

impl Model {
    /// The model's name.
    pub fn name(&self) -> &str {
        &self.base.name
    }

    /// The model's configuration: its shape, and what sets its architecture apart.
    pub fn configuration(&self) -> &Configuration {
        &self.base.configuration
    }

    /// The device of the weights. If they are on several, the one where a forward pass starts and
    /// ends.
    pub fn device(&self) -> Device {
        self.base.device
    }

    /// The precision of the weights.
    pub fn precision(&self) -> Precision {
        Precision::from_kind(self.base.transformer.kind())
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.base.tokenizer
    }

    /// The adapter of this handle, if it has one.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref()
    }

    /// The number of parameters of the model, without an adapter.
    pub fn parameter_count(&self) -> u64 {
        self.base
            .transformer
            .weights()
            .map(|weight| weight.numel() as u64)
            .sum()
    }

    /// Bytes of the weights on each device, without an adapter, in the order in which a forward pass
    /// uses the devices.
    pub fn memory_by_device(&self) -> Vec<(Device, u64)> {
        let mut devices: Vec<(Device, u64)> = vec![(self.base.device, 0)];
        for weight in self.base.transformer.weights() {
            let device = weight.device();
            match devices.iter_mut().find(|(other, _)| *other == device) {
                Some((_, bytes)) => *bytes += weight.bytes(),
                None => devices.push((device, weight.bytes())),
            }
        }
        if let Some((_, bytes)) = devices.iter_mut().find(|(other, _)| *other == Device::Cpu) {
            *bytes += self.base.transformer.blocked_bytes();
        }
        devices
    }

    /// Bytes of the weights, including those of an adapter.
    pub fn memory_bytes(&self) -> u64 {
        let base: u64 = self
            .base
            .transformer
            .weights()
            .map(SharedTensor::bytes)
            .sum();
        let blocked = self.base.transformer.blocked_bytes();
        base + blocked + self.adapter.as_ref().map_or(0, Adapter::memory_bytes)
    }

    /// This handle's adapter for every token of a forward pass.
    pub(super) fn adapters(&self) -> Adapters<'_> {
        self.adapter.as_ref().into()
    }

    pub(crate) fn shares_weights_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.base, &other.base)
    }

    pub(crate) fn transformer(&self) -> &Transformer {
        &self.base.transformer
    }
}

impl std::fmt::Display for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            formatter,
            "{} ({}, {:.1} million parameters, ",
            self.name(),
            self.configuration().model_type,
            self.parameter_count() as f64 / 1e6,
        )?;
        for (index, (device, bytes)) in self.memory_by_device().into_iter().enumerate() {
            let separator = if index == 0 { "" } else { " and " };
            let megabytes = bytes as f64 / 1e6;
            write!(formatter, "{separator}{megabytes:.0} MB on {device:?}")?;
        }
        write!(formatter, " in {})", self.precision())?;
        match &self.adapter {
            Some(adapter) => write!(formatter, " + {adapter}"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "Model({self})")
    }
}
