//! The weights of a model as its checkpoint has them.

use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};

use super::parameter::Parameter;

/// A tensor under its Hugging Face name, still where the model has it.
pub(crate) struct CheckpointTensor {
    pub(crate) name: String,
    /// What is joined along the first dimension.
    parts: Vec<Tensor>,
    shape: Vec<i64>,
    /// What the model has added to the numbers of the checkpoint.
    added: f64,
}

impl CheckpointTensor {
    pub(super) fn new(name: &str, tensor: Tensor) -> Self {
        Self {
            name: name.to_owned(),
            shape: tensor.size(),
            parts: vec![tensor],
            added: 0.0,
        }
    }

    /// How many numbers it has.
    pub(crate) fn numel(&self) -> u64 {
        self.shape.iter().map(|size| size.unsigned_abs()).product()
    }

    /// The numbers of the checkpoint on the CPU, one after another in memory.
    pub(crate) fn tensor(&self, kind: Kind) -> Result<Tensor, TchError> {
        let joined = match self.parts.as_slice() {
            [part] => part.shallow_clone(),
            parts => Tensor::f_cat(parts, 0)?.f_view(&self.shape[..])?,
        };
        let joined = match self.added == 0.0 {
            true => joined,
            false => joined.f_sub_scalar(self.added)?,
        };
        joined
            .f_to_kind(kind)?
            .f_to_device(Device::Cpu)?
            .f_contiguous()
    }
}

impl From<&Parameter> for CheckpointTensor {
    fn from(parameter: &Parameter) -> Self {
        Self {
            added: parameter.added,
            ..Self::new(&parameter.name, parameter.shallow_clone())
        }
    }
}

/// Puts the weights of all experts of a layer into one tensor, as Gemma 4 has them: `gate_up_proj`,
/// `[experts, 2 * width, hidden]`, and `down_proj`, `[experts, hidden, width]`. The maps of one
/// expert follow those of the one before.
pub(super) fn with_stacked_experts(tensors: Vec<CheckpointTensor>) -> Vec<CheckpointTensor> {
    let (mut plain, mut stacks) = (Vec::new(), BTreeMap::<String, Vec<Tensor>>::new());
    for tensor in tensors {
        match stack_of(&tensor.name) {
            Some(stack) => stacks.entry(stack).or_default().extend(tensor.parts),
            None => plain.push(tensor),
        }
    }
    plain.extend(stacks.into_iter().map(|(name, parts)| {
        let (rows, columns) = (parts[0].size()[0], parts[0].size()[1]);
        let maps = if name.ends_with("gate_up_proj") { 2 } else { 1 };
        CheckpointTensor {
            name,
            shape: vec![parts.len() as i64 / maps, maps * rows, columns],
            parts,
            added: 0.0,
        }
    }));
    plain
}

/// `model.layers.0.experts.gate_up_proj` for `model.layers.0.experts.3.up_proj.weight`.
fn stack_of(name: &str) -> Option<String> {
    let (layer, expert) = name.split_once(".experts.")?;
    let (_, map) = expert.split_once('.')?;
    let stack = match map {
        "gate_proj.weight" | "up_proj.weight" => "gate_up_proj",
        "down_proj.weight" => "down_proj",
        _ => return None,
    };
    Some(format!("{layer}.experts.{stack}"))
}
