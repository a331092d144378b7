//! Linear maps, with or without an adapter.

use tch::{Device, Kind, TchError, Tensor};

use super::checkpoint_tensor::CheckpointTensor;
use super::weights::Weights;
use super::{LinearWeight, SharedTensor};
use crate::ModelError;
use crate::adapter::{Adapter, Adapters};

/// Linear maps of the same input, kept as one matrix so that they are one matrix product.
pub(super) struct Linear {
    /// `[sum of outputs, inputs]`
    matrix: LinearWeight,
    /// `[sum of outputs]`
    bias: Option<SharedTensor>,
    maps: Vec<LinearModule>,
}

/// One of the maps of a [`Linear`], to which an adapter may be attached.
#[derive(Debug, Clone)]
pub(crate) struct LinearModule {
    /// Its Hugging Face name, such as `model.layers.0.self_attn.q_proj`.
    pub(crate) name: String,
    pub(crate) in_features: i64,
    pub(crate) out_features: i64,
    /// Where its weight is, and an adapter's best is too.
    pub(crate) device: Device,
}

impl Linear {
    /// Reads the weights, and where there are any the biases, of `maps` and joins them.
    pub(super) fn load(
        parts: &Weights,
        maps: Vec<LinearModule>,
        bias: bool,
    ) -> Result<Self, ModelError> {
        let joined = |mut tensors: Vec<Tensor>| match tensors.len() {
            1 => Ok(tensors.remove(0)),
            _ => Tensor::f_cat(&tensors, 0),
        };
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for map in &maps {
            let name = format!("{}.weight", map.name);
            weights.push(parts.tensor(&name, &[map.out_features, map.in_features])?);
            if bias {
                let name = format!("{}.bias", map.name);
                biases.push(parts.tensor(&name, &[map.out_features])?);
            }
        }
        Ok(Self {
            matrix: LinearWeight::new(joined(weights)?),
            bias: match bias {
                true => Some(SharedTensor::new(joined(biases)?)),
                false => None,
            },
            maps,
        })
    }

    /// One map whose weight belongs to another part of the model (a tied output layer).
    pub(super) fn tied(weight: &SharedTensor, map: LinearModule) -> Self {
        Self::of(weight.shallow_clone(), vec![map])
    }

    /// Maps whose joined weight, `[sum of outputs, inputs]`, has been read already.
    pub(super) fn of(weight: Tensor, maps: Vec<LinearModule>) -> Self {
        Self {
            matrix: LinearWeight::new(weight),
            bias: None,
            maps,
        }
    }

    pub(super) fn maps(&self) -> &[LinearModule] {
        &self.maps
    }

    pub(super) fn matrix(&self) -> &LinearWeight {
        &self.matrix
    }

    /// The joined weight and bias.
    pub(super) fn weights(&self) -> impl Iterator<Item = &SharedTensor> {
        [self.matrix.tensor()].into_iter().chain(&self.bias)
    }

    /// Kind of the weight.
    pub(super) fn kind(&self) -> Kind {
        self.matrix.tensor().kind()
    }

    /// The joined weight with the updates of `adapter`, if it has any that are merged.
    pub(super) fn merged_in<'a>(&self, adapter: Option<&'a Adapter>) -> Option<&'a LinearWeight> {
        adapter?.merged_weight(&self.maps.first()?.name)
    }

    /// The weight, and if there is one the bias, of every map.
    pub(super) fn stored(
        &self,
        adapter: Option<&Adapter>,
    ) -> Result<Vec<CheckpointTensor>, TchError> {
        let sizes: Vec<i64> = self.maps.iter().map(|map| map.out_features).collect();
        let matrix = self.merged_in(adapter).unwrap_or(&self.matrix);
        let joined = [
            ("weight", Some(matrix.tensor())),
            ("bias", self.bias.as_ref()),
        ];
        let mut tensors = Vec::new();
        for (name, joined) in joined {
            let Some(joined) = joined else { continue };
            let parts = joined.f_split_with_sizes(&sizes[..], 0)?;
            let named = self.maps.iter().zip(parts);
            tensors.extend(
                named.map(|(map, part)| {
                    CheckpointTensor::new(&format!("{}.{name}", map.name), part)
                }),
            );
        }
        Ok(tensors)
    }

    /// The joined weight with the updates of `adapter` added, under the name of the first map, if
    /// any map is adapted. A tied weight stays what it is for the part that it belongs to.
    pub(super) fn merged(
        &self,
        adapter: &Adapter,
    ) -> Result<Option<(String, LinearWeight)>, TchError> {
        let is_adapted = self.maps.iter().any(|map| adapter.has_module(&map.name));
        let Some(first) = self.maps.first().filter(|_| is_adapted) else {
            return Ok(None);
        };
        let sizes: Vec<i64> = self.maps.iter().map(|map| map.out_features).collect();
        let own = self.matrix.tensor();
        let mut rows = own.f_split_with_sizes(sizes, 0)?;
        for (map, rows) in self.maps.iter().zip(&mut rows) {
            if let Some(change) = adapter.delta_weight(&map.name)? {
                let change = change.f_to_device(rows.device())?;
                *rows = rows.f_add(&change)?.f_to_kind(own.kind())?;
            }
        }
        let joined = LinearWeight::new(Tensor::f_cat(&rows, 0)?);
        Ok(Some((first.name.clone(), joined)))
    }

    /// The output of every map for `x`, `[tokens, inputs]`.
    pub(super) fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<Vec<Tensor>, TchError> {
        let merged = self
            .maps
            .first()
            .and_then(|map| adapters.merged_weight(&map.name));
        let mut joined = merged.unwrap_or(&self.matrix).product(x)?;
        if let Some(bias) = &self.bias {
            joined = joined.f_add(bias)?;
        }
        let outputs = if self.maps.len() == 1 {
            vec![joined]
        } else {
            // Split at once: the gradient of a split is one concatenation.
            let sizes: Vec<i64> = self.maps.iter().map(|map| map.out_features).collect();
            joined.f_split_with_sizes(sizes, -1)?
        };
        if merged.is_some() {
            return Ok(outputs);
        }
        let maps = self.maps.iter().zip(outputs);
        maps.map(|(map, output)| adapters.add_update(&map.name, x, output))
            .collect()
    }

    /// The output of a single map.
    pub(super) fn forward_one(&self, x: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        debug_assert_eq!(self.maps.len(), 1, "a joined map has several outputs");
        Ok(self.forward(x, adapters)?.swap_remove(0))
    }
}
