//! The weights of a model as a checkpoint stores them.

use std::collections::BTreeMap;

use tch::{Device, Kind, TchError, Tensor};

use super::parameter::Parameter;

/// A tensor to be saved under its Hugging Face name; it stays on the model's device until then.
pub(crate) struct CheckpointTensor {
    pub(crate) name: String,
    /// Concatenated along the first dimension when the tensor is saved.
    parts: Vec<Tensor>,
    shape: Vec<i64>,
    /// What the model has added to the checkpoint's values.
    offset: f64,
}

impl CheckpointTensor {
    pub(super) fn new(name: &str, tensor: Tensor) -> Self {
        Self {
            name: name.to_owned(),
            shape: tensor.size(),
            parts: vec![tensor],
            offset: 0.0,
        }
    }

    /// Number of elements.
    pub(crate) fn numel(&self) -> u64 {
        self.shape.iter().map(|size| size.unsigned_abs()).product()
    }

    /// The checkpoint's values as a contiguous tensor on the CPU.
    pub(crate) fn to_cpu(&self, kind: Kind) -> Result<Tensor, TchError> {
        let mut tensor = match self.parts.as_slice() {
            [part] => part.shallow_clone(),
            parts => Tensor::f_cat(parts, 0)?.f_view(&self.shape[..])?,
        };
        if self.offset != 0.0 {
            tensor = tensor.f_sub_scalar(self.offset)?;
        }
        tensor
            .f_to_kind(kind)?
            .f_to_device(Device::Cpu)?
            .f_contiguous()
    }
}

impl From<&Parameter> for CheckpointTensor {
    fn from(parameter: &Parameter) -> Self {
        Self {
            offset: parameter.offset,
            ..Self::new(&parameter.name, parameter.shallow_clone())
        }
    }
}

/// Stacks the weights of all experts of a layer into one tensor, as Gemma 4's checkpoints have them:
/// `gate_up_proj`, `[experts, 2 * intermediate, hidden]`, and `down_proj`,
/// `[experts, hidden, intermediate]`.
///
/// The tensors of one expert must follow those of the expert before.
pub(super) fn stack_experts(tensors: Vec<CheckpointTensor>) -> Vec<CheckpointTensor> {
    let (mut others, mut stacks) = (Vec::new(), BTreeMap::<String, Vec<Tensor>>::new());
    for tensor in tensors {
        match stack_of(&tensor.name) {
            Some(stack) => stacks.entry(stack).or_default().extend(tensor.parts),
            None => others.push(tensor),
        }
    }
    others.extend(stacks.into_iter().map(|(name, parts)| {
        let (rows, columns) = (parts[0].size()[0], parts[0].size()[1]);
        let parts_per_expert = if name.ends_with("gate_up_proj") { 2 } else { 1 };
        let num_experts = parts.len() as i64 / parts_per_expert;
        CheckpointTensor {
            name,
            shape: vec![num_experts, parts_per_expert * rows, columns],
            parts,
            offset: 0.0,
        }
    }));
    others
}

/// The stack that a tensor of one expert belongs to: `model.layers.0.experts.gate_up_proj` for
/// `model.layers.0.experts.3.up_proj.weight`.
fn stack_of(name: &str) -> Option<String> {
    let (layer, expert) = name.split_once(".experts.")?;
    let (_, projection) = expert.split_once('.')?;
    let stack = match projection {
        "gate_proj.weight" | "up_proj.weight" => "gate_up_proj",
        "down_proj.weight" => "down_proj",
        _ => return None,
    };
    Some(format!("{layer}.experts.{stack}"))
}
