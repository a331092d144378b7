//! Which adapter each token of a forward pass uses.

use tch::{Device, TchError, Tensor};

use super::Adapter;
use crate::transformer::LinearWeight;

/// The adapters of the tokens of one forward pass.
///
/// The base weights are applied to all tokens at once. Only the low-rank updates, which cost little,
/// are computed adapter by adapter.
pub(crate) enum Adapters<'a> {
    /// No token has an adapter.
    None,
    /// Every token has this adapter.
    One(&'a Adapter),
    /// Tokens have different adapters. Every token is in exactly one group.
    Several(Vec<AdapterGroup<'a>>),
}

/// The tokens of a forward pass that have the same adapter.
pub(crate) struct AdapterGroup<'a> {
    /// Absent for the tokens without an adapter.
    pub(crate) adapter: Option<&'a Adapter>,
    /// Flat positions of the tokens in the pass, `[tokens of the group]`.
    pub(crate) tokens: Tensor,
}

impl<'a> From<Option<&'a Adapter>> for Adapters<'a> {
    fn from(adapter: Option<&'a Adapter>) -> Self {
        adapter.map_or(Self::None, Self::One)
    }
}

impl<'a> Adapters<'a> {
    /// Groups the tokens of a decode pass, which has one token for each row.
    pub(crate) fn per_row(
        rows: impl IntoIterator<Item = Option<&'a Adapter>>,
        device: Device,
    ) -> Result<Self, TchError> {
        Self::per_sequence(rows.into_iter().map(|adapter| (adapter, 1)), device)
    }

    /// Groups the tokens of a pass over sequences, given the adapter and the length of each.
    pub(crate) fn per_sequence(
        sequences: impl IntoIterator<Item = (Option<&'a Adapter>, i64)>,
        device: Device,
    ) -> Result<Self, TchError> {
        let mut groups: Vec<(Option<&'a Adapter>, Vec<i64>)> = Vec::new();
        let mut first = 0;
        for (adapter, length) in sequences {
            let tokens = first..first + length;
            first += length;
            match groups.iter_mut().find(|group| is_same(group.0, adapter)) {
                Some(group) => group.1.extend(tokens),
                None => groups.push((adapter, tokens.collect())),
            }
        }
        if groups.len() <= 1 {
            return Ok(groups.first().and_then(|group| group.0).into());
        }
        let mut several = Vec::with_capacity(groups.len());
        for (adapter, tokens) in groups {
            let tokens = Tensor::f_from_slice(&tokens)?.f_to_device(device)?;
            several.push(AdapterGroup { adapter, tokens });
        }
        Ok(Self::Several(several))
    }

    /// The weight to use in place of the model's own whose first module is `module`, if every token
    /// has the same adapter and that adapter is merged.
    pub(crate) fn merged_weight(&self, module: &str) -> Option<&LinearWeight> {
        match self {
            Self::One(adapter) => adapter.merged_weight(module),
            Self::None | Self::Several(_) => None,
        }
    }

    /// Adds the update of each token's adapter to `output`, `[tokens, out_features]`, of the linear
    /// module `module` for the input `x`, `[tokens, in_features]`.
    pub(crate) fn add_update(
        &self,
        module: &str,
        x: &Tensor,
        mut output: Tensor,
    ) -> Result<Tensor, TchError> {
        match self {
            Self::None => Ok(output),
            Self::One(adapter) => adapter.add_update(module, x, output),
            Self::Several(groups) => {
                for AdapterGroup { adapter, tokens } in groups {
                    let Some(adapter) = adapter.filter(|adapter| adapter.has_module(module)) else {
                        continue;
                    };
                    // Layers may be on several devices, and positions are on the first.
                    let tokens = tokens.f_to_device(x.device())?;
                    let (x, group_output) = (
                        x.f_index_select(0, &tokens)?,
                        output.f_index_select(0, &tokens)?,
                    );
                    let adapted = adapter.add_update(module, &x, group_output)?;
                    // In place is safe: different adapters are mixed in generation only, which
                    // computes no gradients, so nothing else refers to the output.
                    output = output.f_index_copy_(0, &tokens, &adapted)?;
                }
                Ok(output)
            }
        }
    }
}

fn is_same(one: Option<&Adapter>, other: Option<&Adapter>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::LoraConfig;
    use crate::transformer::PackedSequences;
    use crate::{Chat, Model, Sampling};
    use tch::Kind;

    fn model(name: &str) -> Model {
        let fixtures = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/fixtures/architectures/"
        );
        Model::load(&format!("{fixtures}{name}")).unwrap()
    }

    /// An adapter of most linear modules with random matrices that depend on `seed`.
    fn adapter(model: &Model, seed: i64) -> Adapter {
        tch::manual_seed(seed);
        let config = LoraConfig {
            rank: 2 + seed,
            alpha: 3.0,
            ..LoraConfig::default()
        };
        let all = ["o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"];
        let config = LoraConfig {
            targets: all.into(),
            ..config
        };
        let untrained = model.untrained_adapter(&config, 1).unwrap();
        let random = |matrix: &Tensor| matrix.randn_like() * 0.3;
        let matrices = untrained
            .modules()
            .map(|(module, a, b)| (module.to_owned(), random(a), random(b)));
        Adapter::from_tensors(config, matrices.collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn adapters_in_one_pass_do_not_affect_each_other() {
        for name in [
            "llama_odd_heads_tied",
            "qwen3_moe_normalised",
            "deepseek_v3",
        ] {
            let model = model(name);
            let transformer = model.transformer();
            let (one, other) = (adapter(&model, 0), adapter(&model, 1));
            let sequences: [&[u32]; 4] = [&[3, 1, 4, 1, 5], &[9, 2], &[6, 5, 3, 5], &[8]];
            let of_sequence = [Some(&one), None, Some(&other), Some(&one)];
            let _no_grad = tch::no_grad_guard();
            let logits = |sequences: &[&[u32]], of_sequence: &[Option<&Adapter>]| {
                let packed = PackedSequences::new(sequences.iter().copied(), Device::Cpu).unwrap();
                let lengths = packed.lengths.iter().copied();
                let pairs = of_sequence.iter().copied().zip(lengths);
                let adapters = Adapters::per_sequence(pairs, Device::Cpu).unwrap();
                let output = transformer.forward(&packed, &adapters).unwrap();
                transformer.logits(&output, &adapters).unwrap()
            };
            let together = logits(&sequences, &of_sequence);
            let alone: Vec<Tensor> = sequences
                .iter()
                .zip(of_sequence)
                .map(|(&sequence, adapter)| logits(&[sequence], &[adapter]))
                .collect();
            let alone = Tensor::cat(&alone, 0);
            let difference = (&together - &alone).abs().max() / alone.abs().max();
            assert!(difference.double_value(&[]) < 1e-5, "{name}");
            // The adapters do change the tokens that have one.
            let plain = logits(&sequences, &[None; 4]);
            let changed = (&together - &plain).abs().amax([-1], false);
            let is_changed = changed.gt(1e-3).to_kind(Kind::Int64);
            let is_changed = Vec::<i64>::try_from(is_changed).unwrap();
            assert_eq!(is_changed, [1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1], "{name}");
        }
    }

    #[test]
    fn clones_of_one_adapter_count_as_the_same() {
        let model = model("qwen3_tied");
        let one = adapter(&model, 0);
        let again = one.clone();
        let of_rows = |rows: &[Option<&'static str>]| {
            let rows = rows.iter().map(|row| match row {
                Some("one") => Some(&one),
                Some(_) => Some(&again),
                None => None,
            });
            Adapters::per_row(rows.collect::<Vec<_>>(), Device::Cpu).unwrap()
        };
        assert!(matches!(
            of_rows(&[Some("one"), Some("again")]),
            Adapters::One(_)
        ));
        assert!(matches!(of_rows(&[None, None]), Adapters::None));
        assert!(matches!(of_rows(&[]), Adapters::None));
        assert!(matches!(
            of_rows(&[None, Some("one")]),
            Adapters::Several(_)
        ));
    }

    #[test]
    fn handles_over_different_weights_cannot_share_a_batch() {
        let (one, other) = (model("qwen3_tied"), model("qwen3_yarn"));
        let chat = Chat::user("hi");
        let requests = [(&one, &chat), (&other, &chat)];
        let error = Model::generate_together(&requests, &Sampling::greedy()).unwrap_err();
        assert!(
            error.to_string().contains("over the same weights"),
            "{error}"
        );
    }
}
