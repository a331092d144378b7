//! The handle itself and what it tells about the model.

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

/// A model on a device, with its tokenizer and chat template. Cloning is cheap; clones and
/// adapted handles share the weights.
#[derive(Clone)]
pub struct Model {
    pub(super) base: Arc<Base>,
    pub(super) adapter: Option<Adapter>,
    pub(super) rendering: Rendering,
}

/// What all handles of one model share.
pub(super) struct Base {
    pub(super) name: String,
    pub(super) configuration: Configuration,
    /// `config.json` as the model came with it.
    pub(super) config_json: Value,
    /// The folder that it came from, if it was one.
    pub(super) folder: Option<PathBuf>,
    pub(super) transformer: Transformer,
    pub(super) tokenizer: Tokenizer,
    pub(super) templates: TemplateSources,
    pub(super) device: Device,
}

impl Model {
    /// The model's name.
    pub fn name(&self) -> &str {
        &self.base.name
    }

    /// The model's shape.
    pub fn configuration(&self) -> &Configuration {
        &self.base.configuration
    }

    /// Where the weights are; of several devices, the one where computations begin and end.
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

    /// Weights of the model, without an adapter.
    pub fn parameter_count(&self) -> u64 {
        self.base
            .transformer
            .weights()
            .map(|weight| weight.numel() as u64)
            .sum()
    }

    /// Bytes of the weights on each device, in the order of the computation, without an adapter.
    pub fn memory_by_device(&self) -> Vec<(Device, u64)> {
        let mut devices: Vec<(Device, u64)> = vec![(self.base.device, 0)];
        for weight in self.base.transformer.weights() {
            let device = weight.device();
            match devices.iter_mut().find(|(known, _)| *known == device) {
                Some((_, bytes)) => *bytes += weight.bytes(),
                None => devices.push((device, weight.bytes())),
            }
        }
        if let Some((_, bytes)) = devices.iter_mut().find(|(known, _)| *known == Device::Cpu) {
            *bytes += self.base.transformer.blocked_bytes();
        }
        devices
    }

    /// Bytes of the weights, those of an adapter included.
    pub fn memory_bytes(&self) -> u64 {
        let base: u64 = self
            .base
            .transformer
            .weights()
            .map(SharedTensor::bytes)
            .sum();
        let blocks = self.base.transformer.blocked_bytes();
        base + blocks + self.adapter.as_ref().map_or(0, Adapter::memory_bytes)
    }

    /// The same adapter for every token of a pass.
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
