//! A weight that belongs to no linear map.

use std::ops::Deref;

use tch::Tensor;

use super::SharedTensor;

/// A weight with its name in the checkpoint.
pub(super) struct Parameter {
    pub(super) name: String,
    weight: SharedTensor,
    /// What has been added to the numbers of the checkpoint.
    pub(super) added: f64,
}

impl Parameter {
    pub(super) fn new(name: &str, weight: Tensor) -> Self {
        Self::with_added(name, weight, 0.0)
    }

    pub(super) fn with_added(name: &str, weight: Tensor, added: f64) -> Self {
        Self {
            name: name.to_owned(),
            weight: SharedTensor::new(weight),
            added,
        }
    }

    pub(super) fn weight(&self) -> &SharedTensor {
        &self.weight
    }
}

impl Deref for Parameter {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.weight
    }
}
