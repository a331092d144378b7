//! Updates of experts whose weights are stacked, as `transformers` 5 keeps them.
//!
//! PEFT calls them `target_parameters`. The experts' matrices are in one: A is
//! `[experts * rank, inputs]`, expert after expert, and B is `[outputs, rank * experts]`, where the
//! experts of one rank are neighbours (`ParamWrapper.get_delta_weight`). The gate and the up
//! projection are one weight with a common A. Here every expert has updates of its own.

use tch::{TchError, Tensor};

use super::targets::ends_with;

const GATE_UP: &str = "gate_up_proj";
const DOWN: &str = "down_proj";

/// A stacked weight.
#[derive(Debug, PartialEq)]
pub(super) struct StackedExperts {
    /// Its name, such as `model.layers.0.mlp.experts.gate_up_proj`.
    pub(super) name: String,
    /// The name of the experts, such as `model.layers.0.mlp.experts`.
    experts: String,
    parts: &'static [&'static str],
}

/// The stacked weight that the tensors of `module` update, if it is one. Tensors carry the name of
/// the experts alone: the second of two adapted weights of the same experts is wrapped around the
/// first, which is then their `base_layer`.
pub(super) fn find(module: &str, parameters: &[String]) -> Option<StackedExperts> {
    let inner = module.strip_suffix(".base_layer");
    let experts = inner.unwrap_or(module);
    if !experts.ends_with(".experts") {
        return None;
    }
    let is_adapted = |weight: &str| {
        let name = format!("{experts}.{weight}");
        parameters
            .iter()
            .any(|parameter| ends_with(&name, parameter))
    };
    let (weight, parts): (_, &[_]) =
        match is_adapted(GATE_UP) && (inner.is_some() || !is_adapted(DOWN)) {
            true => (GATE_UP, &["gate_proj", "up_proj"]),
            false => (DOWN, &["down_proj"]),
        };
    Some(StackedExperts {
        name: format!("{experts}.{weight}"),
        experts: experts.to_owned(),
        parts,
    })
}

impl StackedExperts {
    /// How many experts are there among these modules.
    pub(super) fn experts<'a>(&self, modules: impl Iterator<Item = &'a str>) -> i64 {
        let is_expert = |module: &&str| {
            let rest = module.strip_prefix(&*self.experts);
            rest.is_some_and(|rest| rest.starts_with('.') && rest.ends_with(DOWN))
        };
        modules.filter(is_expert).count() as i64
    }

    /// The module, A and B of every linear map in it.
    pub(super) fn split(
        &self,
        a: &Tensor,
        b: &Tensor,
        experts: i64,
    ) -> Result<Vec<(String, Tensor, Tensor)>, TchError> {
        let (inputs, outputs) = (a.size2()?.1, b.size2()?.0);
        let a = a.f_view([experts, -1, inputs])?;
        let b = b.f_view([outputs, -1, experts])?;
        let mut updates = Vec::new();
        for expert in 0..experts {
            let a = a.f_select(0, expert)?;
            let parts = b.f_select(2, expert)?;
            let parts = parts.f_chunk(self.parts.len() as i64, 0)?;
            for (name, b) in self.parts.iter().zip(parts) {
                let module = format!("{}.{expert}.{name}", self.experts);
                updates.push((module, a.f_contiguous()?, b.f_contiguous()?));
            }
        }
        Ok(updates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn which_weight_is_meant_follows_from_the_wrapping() {
        let both = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"].map(str::to_owned);
        let weight = |module: &str, parameters: &[String]| {
            let parameter = find(module, parameters)?;
            Some(parameter.name.rsplit('.').next().unwrap().to_owned())
        };
        let (outer, inner) = ("m.mlp.experts", "m.mlp.experts.base_layer");
        assert_eq!(weight(inner, &both).as_deref(), Some(GATE_UP));
        assert_eq!(weight(outer, &both).as_deref(), Some(DOWN));
        assert_eq!(weight(outer, &both[..1]).as_deref(), Some(GATE_UP));
        assert_eq!(weight(outer, &both[1..]).as_deref(), Some(DOWN));
        assert_eq!(weight("m.mlp.up_proj", &both), None);
    }

    #[test]
    fn every_expert_gets_its_part() {
        let parameter = find("m.experts", &["experts.gate_up_proj".to_owned()]).unwrap();
        let count = |end| Tensor::arange(end, (Kind::Int64, Device::Cpu));
        // Three experts, rank 2, one input, two outputs each of gate and up.
        let (a, b) = (count(6).view([6, 1]), count(24).view([4, 6]));
        let updates = parameter.split(&a, &b, 3).unwrap();
        let numbers = |tensor: &Tensor| Vec::<i64>::try_from(tensor.view(-1)).unwrap();
        let (name, a, b) = &updates[3];
        assert_eq!((updates.len(), name.as_str()), (6, "m.experts.1.up_proj"));
        assert_eq!((numbers(a), numbers(b)), (vec![2, 3], vec![13, 16, 19, 22]));
    }
}
