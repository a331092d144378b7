//! Linear layers, with or without an adapter.

use tch::{Device, Kind, TchError, Tensor};

use super::{CheckpointTensor, LinearWeight, SharedTensor};
use crate::adapter::{Adapter, Adapters};

/// One linear layer of the reference, or several of the same input fused into one weight (such as
/// `qkv_proj`), so that they are one matrix product.
pub(super) struct Linear {
    /// `[sum of out_features, in_features]`
    weight: LinearWeight,
    /// `[sum of out_features]`
    bias: Option<SharedTensor>,
    modules: Vec<LinearModule>,
}

/// One `nn.Linear` of the reference: what PEFT calls a target module, to which an adapter may be
/// attached.
#[derive(Debug, Clone)]
pub(crate) struct LinearModule {
    /// The Hugging Face name, such as `model.layers.0.self_attn.q_proj`.
    pub(crate) name: String,
    pub(crate) in_features: i64,
    pub(crate) out_features: i64,
    /// Where the weight is. An adapter's matrices belong on the same device.
    pub(crate) device: Device,
}

impl Linear {
    /// The layers `modules` with their weights, `[sum of out_features, in_features]`, and biases,
    /// `[sum of out_features]`, concatenated in the order of the modules.
    pub(super) fn new(weight: Tensor, bias: Option<Tensor>, modules: Vec<LinearModule>) -> Self {
        Self {
            weight: LinearWeight::new(weight),
            bias: bias.map(SharedTensor::new),
            modules,
        }
    }

    /// A layer whose weight is another part of the model: an output layer tied to the embedding.
    pub(super) fn tied(weight: &SharedTensor, module: LinearModule) -> Self {
        Self::new(weight.shallow_clone(), None, vec![module])
    }

    pub(super) fn modules(&self) -> &[LinearModule] {
        &self.modules
    }

    pub(super) fn weight(&self) -> &LinearWeight {
        &self.weight
    }

    /// The fused weight and bias.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &SharedTensor> {
        [self.weight.tensor()].into_iter().chain(&self.bias)
    }

    /// Kind of the weight.
    pub(super) fn kind(&self) -> Kind {
        self.weight.tensor().kind()
    }

    /// The output of a single layer for `x`, `[tokens, in_features]`: `[tokens, out_features]`.
    pub(super) fn forward(&self, x: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        debug_assert_eq!(self.modules.len(), 1, "a fused layer has several outputs");
        Ok(self.forward_fused(x, adapters)?.swap_remove(0))
    }

    /// The output of every fused layer for `x`, `[tokens, in_features]`: `[tokens, out_features]`
    /// each.
    pub(super) fn forward_fused(
        &self,
        x: &Tensor,
        adapters: &Adapters,
    ) -> Result<Vec<Tensor>, TchError> {
        let first = self.modules.first();
        let merged = first.and_then(|module| adapters.merged_weight(&module.name));
        let mut fused = merged.unwrap_or(&self.weight).forward(x)?;
        if let Some(bias) = &self.bias {
            fused = fused.f_add(bias)?;
        }
        let outputs = if self.modules.len() == 1 {
            vec![fused]
        } else {
            // One split rather than one slice per layer: its gradient is a single concatenation.
            fused.f_split_with_sizes(self.out_features(), -1)?
        };
        if merged.is_some() {
            return Ok(outputs);
        }
        let modules = self.modules.iter().zip(outputs);
        modules
            .map(|(module, output)| adapters.add_update(&module.name, x, output))
            .collect()
    }

    /// The fused weight with the updates of `adapter`, if the adapter holds it merged.
    pub(super) fn merged_in<'a>(&self, adapter: Option<&'a Adapter>) -> Option<&'a LinearWeight> {
        adapter?.merged_weight(&self.modules.first()?.name)
    }

    /// Adds the updates of `adapter` to a copy of the fused weight, and returns it under the name of
    /// the first module; none if no module is adapted.
    ///
    /// The embedding that an output layer is tied to stays unchanged.
    pub(super) fn merge(
        &self,
        adapter: &Adapter,
    ) -> Result<Option<(String, LinearWeight)>, TchError> {
        let is_adapted = self
            .modules
            .iter()
            .any(|module| adapter.has_module(&module.name));
        let Some(first) = self.modules.first().filter(|_| is_adapted) else {
            return Ok(None);
        };
        let base = self.weight.tensor();
        let mut weights = base.f_split_with_sizes(self.out_features(), 0)?;
        for (module, weight) in self.modules.iter().zip(&mut weights) {
            if let Some(update) = adapter.delta_weight(&module.name)? {
                let update = update.f_to_device(weight.device())?;
                *weight = weight.f_add(&update)?.f_to_kind(base.kind())?;
            }
        }
        let fused = LinearWeight::new(Tensor::f_cat(&weights, 0)?);
        Ok(Some((first.name.clone(), fused)))
    }

    /// The weight, and the bias if there is one, of every module, as a checkpoint stores them.
    pub(super) fn checkpoint_tensors(
        &self,
        adapter: Option<&Adapter>,
    ) -> Result<Vec<CheckpointTensor>, TchError> {
        let weight = self.merged_in(adapter).unwrap_or(&self.weight);
        let fused = [
            ("weight", Some(weight.tensor())),
            ("bias", self.bias.as_ref()),
        ];
        let mut tensors = Vec::new();
        for (suffix, fused) in fused {
            let Some(fused) = fused else { continue };
            let split = fused.f_split_with_sizes(self.out_features(), 0)?;
            for (module, tensor) in self.modules.iter().zip(split) {
                let name = format!("{}.{suffix}", module.name);
                tensors.push(CheckpointTensor::new(&name, tensor));
            }
        }
        Ok(tensors)
    }

    fn out_features(&self) -> Vec<i64> {
        let modules = self.modules.iter();
        modules.map(|module| module.out_features).collect()
    }
}
