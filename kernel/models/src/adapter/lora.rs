//! Low-rank updates of linear maps (<https://arxiv.org/abs/2106.09685>).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{TchError, Tensor};

use super::LoraConfig;
use super::targets::{ModuleMatcher, Targets, name_selects};
use crate::ModelError;
use crate::transformer::{LinearModule, LinearWeight, SharedTensor, linear};

/// A set of updates `W + alpha / r * B A`, one for each adapted module. Cloning is cheap.
#[derive(Clone)]
pub struct Adapter {
    config: LoraConfig,
    /// The name of the model that it was made for, as far as it is known.
    base: Option<String>,
    pub(super) updates: Arc<BTreeMap<String, LoraWeights>>,
    /// Probability of dropping an input; not 0 only while training.
    dropout: f64,
    /// The model's matrices with the updates added, by the module that is first in a matrix. Where
    /// they are there, they are what a pass computes with.
    merged: Option<Arc<BTreeMap<String, LinearWeight>>>,
}

pub(super) struct LoraWeights {
    /// `[rank, inputs]`
    pub(super) a: SharedTensor,
    /// `[outputs, rank]`
    pub(super) b: SharedTensor,
    /// Factor of B A.
    pub(super) scale: f64,
}

impl LoraWeights {
    /// Matrices of their own storage, outside any gradient graph.
    fn copy_of(a: &Tensor, b: &Tensor, scale: f64) -> Result<Self, TchError> {
        let _no_grad = tch::no_grad_guard();
        let copy = |tensor: &Tensor| {
            let mut copy = tensor.f_empty_like()?;
            copy.f_copy_(tensor)?;
            Ok::<_, TchError>(SharedTensor::new(copy))
        };
        Ok(Self {
            a: copy(a)?,
            b: copy(b)?,
            scale,
        })
    }
}

impl Adapter {
    /// A new adapter that changes nothing yet: A is uniform between -1/sqrt(inputs) and
    /// 1/sqrt(inputs), B is zero (PEFT's `kaiming_uniform(a=sqrt(5))`).
    pub(crate) fn untrained<'a>(
        base: &str,
        maps: impl Iterator<Item = &'a LinearModule>,
        config: &LoraConfig,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let matcher = ModuleMatcher::new(config)?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut updates = BTreeMap::new();
        let maps: Vec<&LinearModule> = maps.collect();
        for map in &maps {
            if !matcher.selects(&map.name)? {
                continue;
            }
            let rank = matcher.rank(&map.name)?;
            let bound = 1.0 / (map.in_features as f32).sqrt();
            let count = (rank * map.in_features) as usize;
            let a: Vec<f32> = (0..count)
                .map(|_| random.random_range(-bound..bound))
                .collect();
            let a = Tensor::f_from_slice(&a)?.f_view([rank, map.in_features])?;
            let b = Tensor::f_zeros([map.out_features, rank], (a.kind(), map.device))?;
            let update = LoraWeights {
                a: SharedTensor::new(a.f_to_device(map.device)?),
                b: SharedTensor::new(b),
                scale: matcher.scale(&map.name, rank)?,
            };
            updates.insert(map.name.clone(), update);
        }
        check_targets_exist(config, &maps, &updates)?;
        Ok(Self::new(config.clone(), Some(base.to_owned()), updates))
    }

    /// An adapter from the matrices A, `[rank, inputs]`, and B, `[outputs, rank]`, of each module,
    /// named as `model.layers.0.self_attn.q_proj`.
    ///
    /// # Errors
    /// When a matrix does not have the rank that `config` gives to its module.
    pub fn from_tensors(
        config: LoraConfig,
        tensors: impl IntoIterator<Item = (String, Tensor, Tensor)>,
    ) -> Result<Self, ModelError> {
        let matcher = ModuleMatcher::new(&config)?;
        let mut updates = BTreeMap::new();
        for (module, a, b) in tensors {
            let rank = matcher.rank(&module)?;
            match (a.size().as_slice(), b.size().as_slice()) {
                (&[rows, _], &[_, columns]) if rows == rank && columns == rank => {}
                (shape_a, shape_b) => {
                    let detail =
                        format!("{module} has A {shape_a:?} and B {shape_b:?}, the rank is {rank}");
                    return Err(ModelError::Adapter { detail });
                }
            }
            let scale = matcher.scale(&module, rank)?;
            updates.insert(module, LoraWeights::copy_of(&a, &b, scale)?);
        }
        drop(matcher);
        Ok(Self::new(config, None, updates))
    }

    pub(super) fn new(
        config: LoraConfig,
        base: Option<String>,
        updates: BTreeMap<String, LoraWeights>,
    ) -> Self {
        Self {
            config,
            base,
            updates: Arc::new(updates),
            dropout: 0.0,
            merged: None,
        }
    }

    /// The options it was made with.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// The name of the model that it was made for, as far as it is known.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Module name, A `[rank, inputs]` and B `[outputs, rank]` of every update.
    pub fn modules(&self) -> impl Iterator<Item = (&str, &Tensor, &Tensor)> {
        self.updates
            .iter()
            .map(|(module, update)| (module.as_str(), &*update.a, &*update.b))
    }

    /// Numbers in all A and B.
    pub fn parameter_count(&self) -> u64 {
        self.modules()
            .map(|(_, a, b)| (a.numel() + b.numel()) as u64)
            .sum()
    }

    /// Bytes of all A and B, and of the matrices that they are merged into.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let updates = self.updates.values();
        let merged = self.merged.iter().flat_map(|merged| merged.values());
        let merged = merged.map(|matrix| matrix.tensor().bytes() + matrix.blocked_bytes());
        updates
            .flat_map(|update| [&update.a, &update.b])
            .map(SharedTensor::bytes)
            .chain(merged)
            .sum()
    }

    /// Fails if a module is not among `maps` or has another shape there.
    pub(crate) fn check_fits<'a>(
        &self,
        maps: impl Iterator<Item = &'a LinearModule>,
    ) -> Result<(), ModelError> {
        let maps: BTreeMap<&str, &LinearModule> =
            maps.map(|map| (map.name.as_str(), map)).collect();
        for (module, a, b) in self.modules() {
            let Some(map) = maps.get(module) else {
                return Err(ModelError::Adapter {
                    detail: format!("the model has no {module}"),
                });
            };
            let (found, expected) = (
                (a.size()[1], b.size()[0]),
                (map.in_features, map.out_features),
            );
            if found != expected {
                let detail = format!(
                    "{module} maps {} to {} numbers, in the model {} to {}",
                    found.0, found.1, expected.0, expected.1
                );
                return Err(ModelError::Adapter { detail });
            }
        }
        Ok(())
    }

    /// A copy whose matrices are parameters: they collect gradients, and dropout is on.
    pub(crate) fn trainable(&self) -> Result<Self, TchError> {
        let mut copy = self.detached_copy()?;
        copy.dropout = self.config.dropout;
        for mut parameter in copy.parameters() {
            let _ = parameter.f_requires_grad_(true)?;
        }
        Ok(copy)
    }

    /// A copy that shares nothing with this adapter and collects no gradients.
    pub(crate) fn detached_copy(&self) -> Result<Self, TchError> {
        let mut updates = BTreeMap::new();
        for (module, update) in self.updates.iter() {
            let copy = LoraWeights::copy_of(&update.a, &update.b, update.scale)?;
            updates.insert(module.clone(), copy);
        }
        Ok(Self::new(self.config.clone(), self.base.clone(), updates))
    }

    /// Every A and B, as handles on the same storage.
    pub(crate) fn parameters(&self) -> Vec<Tensor> {
        self.modules()
            .flat_map(|(_, a, b)| [a.shallow_clone(), b.shallow_clone()])
            .collect()
    }

    /// Whether both are handles on the same matrices.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.updates, &other.updates)
    }

    /// Whether there is an update of the map `module`.
    pub(crate) fn has_module(&self, module: &str) -> bool {
        self.updates.contains_key(module)
    }

    /// The same adapter, computed with these matrices in place of the model's own.
    pub(crate) fn with_merged(&self, matrices: BTreeMap<String, LinearWeight>) -> Self {
        Self {
            merged: Some(Arc::new(matrices)),
            ..self.clone()
        }
    }

    /// The same adapter, computed beside the model's own matrices.
    pub(crate) fn without_merged(&self) -> Self {
        Self {
            merged: None,
            ..self.clone()
        }
    }

    /// Whether it is computed with matrices of the model to which it has been added.
    pub(crate) fn is_merged(&self) -> bool {
        self.merged.is_some()
    }

    /// The matrix to compute with in place of the model's that begins with `module`.
    pub(crate) fn merged_weight(&self, module: &str) -> Option<&LinearWeight> {
        self.merged.as_ref()?.get(module)
    }

    /// `alpha / r * B A`, `[outputs, inputs]`, for the map `module`, if it is adapted.
    pub(crate) fn delta_weight(&self, module: &str) -> Result<Option<Tensor>, TchError> {
        let Some(update) = self.updates.get(module) else {
            return Ok(None);
        };
        let change = update.b.f_matmul(&update.a)?;
        Ok(Some(change.f_mul_scalar(update.scale)?))
    }

    /// `output + alpha / r * B A x` for the map `module` with input `x`, `[tokens, inputs]`.
    pub(crate) fn add_update(
        &self,
        module: &str,
        x: &Tensor,
        mut output: Tensor,
    ) -> Result<Tensor, TchError> {
        let Some(update) = self.updates.get(module) else {
            return Ok(output);
        };
        // Both are at home where their map is, unless the adapter was made elsewhere.
        let a = update.a.f_to_device(x.device())?;
        let b = update.b.f_to_device(x.device())?;
        let x = x.f_to_kind(a.kind())?;
        let mut reduced = match self.dropout > 0.0 {
            true => linear(&x.f_dropout(self.dropout, true)?, &a)?,
            false => linear(&x, &a)?,
        };
        if update.scale != 1.0 {
            reduced = reduced.f_mul_scalar(update.scale)?;
        }
        if output.kind() == reduced.kind() {
            let b = b.f_transpose(0, 1)?;
            return match reduced.requires_grad() || output.requires_grad() {
                true => output.f_addmm(&reduced, &b),
                // Nobody else has the output.
                false => output.f_addmm_(&reduced, &b),
            };
        }
        // As in PEFT, an adapter may be more precise than the weights that it updates.
        output
            .f_add(&linear(&reduced, &b)?)?
            .f_to_kind(output.kind())
    }
}

/// Fails if a target names no module, which is a slip of the pen more often than intended.
fn check_targets_exist(
    config: &LoraConfig,
    maps: &[&LinearModule],
    updates: &BTreeMap<String, LoraWeights>,
) -> Result<(), ModelError> {
    let missing = match &config.targets {
        Targets::Names(names) => {
            let is_missing = |name: &&String| !maps.iter().any(|map| name_selects(&map.name, name));
            names.iter().find(is_missing).cloned()
        }
        Targets::Pattern(pattern) if updates.is_empty() => Some(pattern.clone()),
        _ => None,
    };
    let Some(missing) = missing else {
        return Ok(());
    };
    let last = |map: &&LinearModule| map.name.rsplit('.').next().unwrap_or_default().to_owned();
    let known: BTreeSet<String> = maps.iter().map(last).collect();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    Err(ModelError::Adapter {
        detail: format!("no module is named {missing}, known: {known}"),
    })
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            formatter,
            "{}LoRA of rank {} on {} modules ({} parameters)",
            if self.merged.is_some() { "merged " } else { "" },
            self.config.rank,
            self.updates.len(),
            self.parameter_count()
        )
    }
}

impl std::fmt::Debug for Adapter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "Adapter({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn dropout_drops_inputs_of_a_in_training_only() {
        let config = LoraConfig {
            rank: 2,
            alpha: 2.0,
            dropout: 0.25,
            ..LoraConfig::default()
        };
        let cpu = (Kind::Float, Device::Cpu);
        let identity = || Tensor::eye(2, cpu);
        let matrices = [("map".to_owned(), identity(), identity())];
        let adapter = Adapter::from_tensors(config, matrices).unwrap();
        let (x, output) = (
            Tensor::ones([10_000, 2], cpu),
            Tensor::zeros([10_000, 2], cpu),
        );
        let change = |adapter: &Adapter| {
            tch::manual_seed(1);
            let changed = adapter.add_update("map", &x, output.copy()).unwrap();
            Vec::<f32>::try_from(changed.detach().view(-1)).unwrap()
        };
        assert!(change(&adapter).iter().all(|&number| number == 1.0));
        let training = change(&adapter.trainable().unwrap());
        let dropped = training.iter().filter(|&&number| number == 0.0).count();
        let kept = |number: &&f32| (**number - 1.0 / 0.75).abs() < 1e-6;
        assert_eq!(training.iter().filter(kept).count(), 20_000 - dropped);
        // Five standard errors of a quarter of 20,000.
        assert!(dropped.abs_diff(5000) < 310, "{dropped}");
    }
}
