//! Linear maps, with or without an adapter.

use tch::{Device, Kind, TchError, Tensor};

use super::parts::Parts;
use super::stored::Stored;
use super::{Matrix, Weight};
use crate::ModelError;
use crate::adapter::{Adapter, Adapters};

/// Linear maps of the same input, kept as one matrix so that they are one matrix product.
pub(super) struct Linear {
    /// `[sum of outputs, inputs]`
    matrix: Matrix,
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
    /// Where its weight is, and an adapter's best is too.
    pub(crate) device: Device,
}

impl Linear {
    /// Reads the weights, and where there are any the biases, of `maps` and joins them.
    pub(super) fn load(
        parts: &Parts,
        maps: Vec<LinearMap>,
        bias: bool,
    ) -> Result<Self, ModelError> {
        let joined = |mut tensors: Vec<Tensor>| match tensors.len() {
            1 => Ok(tensors.remove(0)),
            _ => Tensor::f_cat(&tensors, 0),
        };
        let (mut weights, mut biases) = (Vec::new(), Vec::new());
        for map in &maps {
            let name = format!("{}.weight", map.module);
            weights.push(parts.tensor(&name, &[map.outputs, map.inputs])?);
            if bias {
                let name = format!("{}.bias", map.module);
                biases.push(parts.tensor(&name, &[map.outputs])?);
            }
        }
        Ok(Self {
            matrix: Matrix::new(joined(weights)?),
            bias: match bias {
                true => Some(Weight::new(joined(biases)?)),
                false => None,
            },
            maps,
        })
    }

    /// One map whose weight belongs to another part of the model (a tied output layer).
    pub(super) fn tied(weight: &Weight, map: LinearMap) -> Self {
        Self::of(weight.shallow_clone(), vec![map])
    }

    /// Maps whose joined weight, `[sum of outputs, inputs]`, has been read already.
    pub(super) fn of(weight: Tensor, maps: Vec<LinearMap>) -> Self {
        Self {
            matrix: Matrix::new(weight),
            bias: None,
            maps,
        }
    }

    pub(super) fn maps(&self) -> &[LinearMap] {
        &self.maps
    }

    pub(super) fn matrix(&self) -> &Matrix {
        &self.matrix
    }

    /// The joined weight and bias.
    pub(super) fn weights(&self) -> impl Iterator<Item = &Weight> {
        [self.matrix.rows()].into_iter().chain(&self.bias)
    }

    /// Kind of the weight.
    pub(super) fn kind(&self) -> Kind {
        self.matrix.rows().kind()
    }

    /// The joined weight with the updates of `adapter`, if it has any that are merged.
    pub(super) fn merged_in<'a>(&self, adapter: Option<&'a Adapter>) -> Option<&'a Matrix> {
        adapter?.merged(&self.maps.first()?.module)
    }

    /// The weight, and if there is one the bias, of every map.
    pub(super) fn stored(&self, adapter: Option<&Adapter>) -> Result<Vec<Stored>, TchError> {
        let sizes: Vec<i64> = self.maps.iter().map(|map| map.outputs).collect();
        let matrix = self.merged_in(adapter).unwrap_or(&self.matrix);
        let joined = [
            ("weight", Some(matrix.rows())),
            ("bias", self.bias.as_ref()),
        ];
        let mut tensors = Vec::new();
        for (name, joined) in joined {
            let Some(joined) = joined else { continue };
            let parts = joined.f_split_with_sizes(&sizes[..], 0)?;
            let named = self.maps.iter().zip(parts);
            tensors.extend(
                named.map(|(map, part)| Stored::new(&format!("{}.{name}", map.module), part)),
            );
        }
        Ok(tensors)
    }

    /// The joined weight with the updates of `adapter` added, under the name of the first map, if
    /// any map is adapted. A tied weight stays what it is for the part that it belongs to.
    pub(super) fn merged(&self, adapter: &Adapter) -> Result<Option<(String, Matrix)>, TchError> {
        let is_adapted = self.maps.iter().any(|map| adapter.adapts(&map.module));
        let Some(first) = self.maps.first().filter(|_| is_adapted) else {
            return Ok(None);
        };
        let sizes: Vec<i64> = self.maps.iter().map(|map| map.outputs).collect();
        let own = self.matrix.rows();
        let mut rows = own.f_split_with_sizes(sizes, 0)?;
        for (map, rows) in self.maps.iter().zip(&mut rows) {
            if let Some(change) = adapter.change(&map.module)? {
                let change = change.f_to_device(rows.device())?;
                *rows = rows.f_add(&change)?.f_to_kind(own.kind())?;
            }
        }
        let joined = Matrix::new(Tensor::f_cat(&rows, 0)?);
        Ok(Some((first.module.clone(), joined)))
    }

    /// The output of every map for `x`, `[tokens, inputs]`.
    pub(super) fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<Vec<Tensor>, TchError> {
        let merged = self
            .maps
            .first()
            .and_then(|map| adapters.merged(&map.module));
        let mut joined = merged.unwrap_or(&self.matrix).product(x)?;
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
        if merged.is_some() {
            return Ok(outputs);
        }
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
