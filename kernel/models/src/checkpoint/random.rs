//! Random weights, for measuring speed without a download.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tch::{Device, Kind, Tensor};

use super::config_json::ConfigJson;
use super::{Checkpoint, read_json};
use crate::{Configuration, ModelError};

/// The usual standard deviation of initial weights (`initializer_range` in `transformers`).
const STANDARD_DEVIATION: f64 = 0.02;

/// Random weights for a configuration.
pub(crate) struct RandomCheckpoint {
    config_path: PathBuf,
    config: Value,
}

impl RandomCheckpoint {
    /// Reads `config.json` in `folder`.
    pub(crate) fn open(folder: &Path) -> Result<Self, ModelError> {
        let config_path = folder.join("config.json");
        let config = read_json(&config_path)?;
        Ok(Self {
            config_path,
            config,
        })
    }
}

impl Checkpoint for RandomCheckpoint {
    fn configuration(&self) -> Result<Configuration, ModelError> {
        ConfigJson::new(&self.config_path, &self.config).configuration()
    }

    fn config_json(&self) -> Result<Value, ModelError> {
        Ok(self.config.clone())
    }

    fn tensor(&self, _name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        let options = (Kind::BFloat16, Device::Cpu);
        match shape {
            // Weights of norms are near 1 in real models too; random ones would make activations
            // explode or vanish.
            [_] => Ok(Tensor::f_ones(shape, options)?),
            _ => Ok(Tensor::f_empty(shape, options)?.f_normal_(0.0, STANDARD_DEVIATION)?),
        }
    }

    fn kind(&self) -> Kind {
        Kind::BFloat16
    }

    /// Unknown before the tensors are made; a model that is too large fails while it is loaded.
    fn parameter_counts(&self) -> Vec<(String, u64)> {
        vec![]
    }
}
