//! Linear maps, with or without an adapter.

use tch::{Device, TchError, Tensor};

use super::{Weight, product};
use crate::ModelError;
use crate::adapter::Adapters;
use crate::checkpoint::Checkpoint;

/// Linear maps of the same input, kept as one matrix so that they are one matrix product.
pub(super) struct Linear {
    /// `[sum of outputs, inputs]`
    weight: Weight,
    /// `[sum of outputs]`
    bias: Option<Weight>,
    maps: Vec<LinearMap>,
}

/// One of the maps of a [`Linear`], to which an adapter may be attached.
#[derive(Debug, Clone)]
pub(crate) struct LinearMap {
    /// Its Hugging Face name, such as `model.layers.0.self_attn.q_proj`.
    pub(crate) module: String,
    pub(crate) inputs: i64,
    pub(crate) outputs: i64,
}

impl Linear {
    /// Reads the weights, and where there are any the biases, of `maps` and joins them.
    pub(super) fn load(
        checkpoint: &dyn Checkpoint,
        maps: Vec<LinearMap>,
        bias: bool,
        device: Device,
    ) -> Result<Self, ModelError> {
        let joined = |mut tensors: Vec<Tensor>| -> Result<Weight, ModelError> {
            let joined = match tensors.len() {
                1 => tensors.remove(0),
                _ => Tensor::f_cat(&tensors, 0)?,
            };
            Ok(Weight::new(joined.f_to_device(device)?))
        };
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for map in &maps {
            let name = format!("{}.weight", map.module);
            weights.push(checkpoint.tensor(&name, &[map.outputs, map.inputs])?);
            if bias {
                let name = format!("{}.bias", map.module);
                biases.push(checkpoint.tensor(&name, &[map.outputs])?);
            }
        }
        Ok(Self {
            weight: joined(weights)?,
            bias: if bias { Some(joined(biases)?) } else { None },
            maps,
        })
    }

    /// One map whose weight belongs to another part of the model (a tied output layer).
    pub(super) fn tied(weight: &Weight, map: LinearMap) -> Self {
        Self {
            weight: Weight::new(weight.shallow_clone()),
            bias: None,
            maps: vec![map],
        }
    }

    pub(super) fn maps(&self) -> &[LinearMap] {
        &self.maps
    }

    /// The joined weight and bias.
    pub(super) fn weights(&self) -> impl Iterator<Item = &Weight> {
        [&self.weight].into_iter().chain(&self.bias)
    }

    /// The output of every map for `x`, `[tokens, inputs]`.
    pub(super) fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<Vec<Tensor>, TchError> {
        let mut joined = product(x, &self.weight)?;
        if let Some(bias) = &self.bias {
            joined = joined.f_add(bias)?;
        }
        let outputs = if self.maps.len() == 1 {
            vec![joined]
        } else {
            // Split at once: the gradient of a split is one concatenation.
            let sizes: Vec<i64> = self.maps.iter().map(|map| map.outputs).collect();
            joined.f_split_with_sizes(sizes, -1)?
        };
        let maps = self.maps.iter().zip(outputs);
        maps.map(|(map, output)| adapters.adapt(&map.module, x, output))
            .collect()
    }

    /// The output of a single map.
    pub(super) fn forward_one(&self, x: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        debug_assert_eq!(self.maps.len(), 1, "a joined map has several outputs");
        Ok(self.forward(x, adapters)?.swap_remove(0))
    }
}
