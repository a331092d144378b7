//! Weights that nobody has trained.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tch::{Device, Kind, Tensor};

use super::config_json::Fields;
use super::{Checkpoint, read_json};
use crate::{Configuration, ModelError};

/// Standard deviation of the weights, as most models begin.
const DEVIATION: f64 = 0.02;

/// Random weights for a configuration.
pub(crate) struct RandomCheckpoint {
    config_path: PathBuf,
    config: Value,
}

impl RandomCheckpoint {
    /// Reads `config.json` of a folder.
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
        Fields::new(&self.config_path, &self.config).configuration()
    }

    fn config_json(&self) -> Result<Value, ModelError> {
        Ok(self.config.clone())
    }

    fn tensor(&self, _name: &str, shape: &[i64]) -> Result<Tensor, ModelError> {
        let options = (Kind::BFloat16, Device::Cpu);
        match shape {
            // Norms and the like keep numbers in the range that they have in a real model.
            [_] => Ok(Tensor::f_ones(shape, options)?),
            _ => Ok(Tensor::f_empty(shape, options)?.f_normal_(0.0, DEVIATION)?),
        }
    }

    fn kind(&self) -> Kind {
        Kind::BFloat16
    }

    /// Unknown: what does not fit is found out when it is made.
    fn numbers(&self) -> Vec<(String, u64)> {
        vec![]
    }
}
