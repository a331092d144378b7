//! PEFT's updates of experts whose weights are stacked in one tensor, as `transformers` 5 has them.
//!
//! PEFT calls such tensors `target_parameters`. It stacks the experts' matrices as well
//! (`ParamWrapper.get_delta_weight`): A is `[experts * rank, in_features]`, one expert after another;
//! B is `[out_features, rank * experts]`, where the columns of one rank are neighbours. The gate and
//! the up projection are one tensor with a common A. In this crate, each linear module of each
//! expert has an update of its own.

use tch::{TchError, Tensor};

use super::targets::ends_with;

const GATE_UP: &str = "gate_up_proj";
const DOWN: &str = "down_proj";

/// A tensor with a weight of all experts of a layer.
#[derive(Debug, PartialEq)]
pub(super) struct StackedExperts {
    /// The tensor's name, such as `model.layers.0.mlp.experts.gate_up_proj`.
    pub(super) name: String,
    /// The module that holds it, such as `model.layers.0.mlp.experts`.
    module: String,
    /// The linear modules of each expert in the tensor, in its order.
    parts: &'static [&'static str],
}

/// The stacked tensor that PEFT's matrices for `module` update, if any.
///
/// The names of PEFT's matrices contain the module that holds the tensor, but not the tensor. If
/// both tensors of the module are adapted, PEFT wraps the second around the first, which then has
/// `base_layer` in its name. `target_parameters` says which tensors are adapted.
pub(super) fn find(module: &str, target_parameters: &[String]) -> Option<StackedExperts> {
    let wrapped = module.strip_suffix(".base_layer");
    let module = wrapped.unwrap_or(module);
    if !module.ends_with(".experts") {
        return None;
    }
    let is_adapted = |tensor: &str| {
        let name = format!("{module}.{tensor}");
        target_parameters
            .iter()
            .any(|parameter| ends_with(&name, parameter))
    };
    let is_gate_up = is_adapted(GATE_UP) && (wrapped.is_some() || !is_adapted(DOWN));
    let (tensor, parts): (_, &[_]) = if is_gate_up {
        (GATE_UP, &["gate_proj", "up_proj"])
    } else {
        (DOWN, &["down_proj"])
    };
    Some(StackedExperts {
        name: format!("{module}.{tensor}"),
        module: module.to_owned(),
        parts,
    })
}

impl StackedExperts {
    /// How many experts the layer has, given the names of all linear modules of the model.
    pub(super) fn expert_count<'a>(&self, modules: impl Iterator<Item = &'a str>) -> i64 {
        let is_expert = |module: &&str| {
            let rest = module.strip_prefix(&*self.module);
            rest.is_some_and(|rest| rest.starts_with('.') && rest.ends_with(DOWN))
        };
        modules.filter(is_expert).count() as i64
    }

    /// Splits PEFT's stacked matrices: the name, A `[rank, in_features]` and B
    /// `[out_features, rank]` of every linear module of every expert.
    pub(super) fn split(
        &self,
        a: &Tensor,
        b: &Tensor,
        experts: i64,
    ) -> Result<Vec<(String, Tensor, Tensor)>, TchError> {
        let (in_features, out_features) = (a.size2()?.1, b.size2()?.0);
        let a = a.f_view([experts, -1, in_features])?;
        let b = b.f_view([out_features, -1, experts])?;
        let mut matrices = Vec::new();
        for expert in 0..experts {
            let a = a.f_select(0, expert)?;
            let b = b.f_select(2, expert)?;
            let b_parts = b.f_chunk(self.parts.len() as i64, 0)?;
            for (part, b) in self.parts.iter().zip(b_parts) {
                let module = format!("{}.{expert}.{part}", self.module);
                matrices.push((module, a.f_contiguous()?, b.f_contiguous()?));
            }
        }
        Ok(matrices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn the_wrapping_tells_which_of_two_adapted_tensors_is_updated() {
        let both = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"].map(str::to_owned);
        let tensor = |module: &str, target_parameters: &[String]| {
            let stacked = find(module, target_parameters)?;
            Some(stacked.name.rsplit('.').next().unwrap().to_owned())
        };
        let (outer, inner) = ("m.mlp.experts", "m.mlp.experts.base_layer");
        assert_eq!(tensor(inner, &both).as_deref(), Some(GATE_UP));
        assert_eq!(tensor(outer, &both).as_deref(), Some(DOWN));
        assert_eq!(tensor(outer, &both[..1]).as_deref(), Some(GATE_UP));
        assert_eq!(tensor(outer, &both[1..]).as_deref(), Some(DOWN));
        assert_eq!(tensor("m.mlp.up_proj", &both), None);
    }

    #[test]
    fn every_module_of_every_expert_gets_its_part() {
        let stacked = find("m.experts", &["experts.gate_up_proj".to_owned()]).unwrap();
        let count = |end| Tensor::arange(end, (Kind::Int64, Device::Cpu));
        // Three experts, rank 2, one input feature, and two output features each of gate and up.
        let (a, b) = (count(6).view([6, 1]), count(24).view([4, 6]));
        let matrices = stacked.split(&a, &b, 3).unwrap();
        let numbers = |tensor: &Tensor| Vec::<i64>::try_from(tensor.view(-1)).unwrap();
        let (name, a, b) = &matrices[3];
        assert_eq!((matrices.len(), name.as_str()), (6, "m.experts.1.up_proj"));
        assert_eq!((numbers(a), numbers(b)), (vec![2, 3], vec![13, 16, 19, 22]));
    }
}
