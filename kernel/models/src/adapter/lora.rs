//! Low-rank updates of linear modules (<https://arxiv.org/abs/2106.09685>).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{TchError, Tensor};

use super::LoraConfig;
use super::targets::{ModuleMatcher, Targets, name_selects};
use crate::ModelError;
use crate::transformer::{LinearModule, LinearWeight, SharedTensor, linear};

/// A LoRA adapter: an update `alpha / r * B A` of the weight of each adapted module. Cloning is
/// cheap.
#[derive(Clone)]
pub struct Adapter {
    config: LoraConfig,
    /// The name of the model for which the adapter was made, if it is known.
    base: Option<String>,
    /// By the name of the module.
    pub(super) weights: Arc<BTreeMap<String, LoraWeights>>,
    /// The probability of dropping an input of A; 0 except in training.
    dropout: f64,
    /// Weights of the model with the updates added, by the name of the first module in each. If
    /// present, forward passes use them in place of the model's own weights.
    merged: Option<Arc<BTreeMap<String, LinearWeight>>>,
}

/// The update of one module.
pub(super) struct LoraWeights {
    /// `[rank, in_features]`
    pub(super) a: SharedTensor,
    /// `[out_features, rank]`
    pub(super) b: SharedTensor,
    /// The factor of B A, `alpha / r`.
    pub(super) scaling: f64,
}

impl LoraWeights {
    /// Copies the matrices to storage of their own, outside any gradient graph.
    fn copy_of(a: &Tensor, b: &Tensor, scaling: f64) -> Result<Self, TchError> {
        let _no_grad = tch::no_grad_guard();
        let copy = |tensor: &Tensor| {
            let mut copy = tensor.f_empty_like()?;
            copy.f_copy_(tensor)?;
            Ok::<_, TchError>(SharedTensor::new(copy))
        };
        Ok(Self {
            a: copy(a)?,
            b: copy(b)?,
            scaling,
        })
    }

    pub(super) fn rank(&self) -> i64 {
        self.a.size()[0]
    }
}

impl Adapter {
    /// Creates an adapter that changes nothing yet: A is uniform between -1/sqrt(in_features) and
    /// 1/sqrt(in_features), and B is zero. PEFT does the same by `kaiming_uniform(a=sqrt(5))`.
    pub(crate) fn untrained<'a>(
        base: &str,
        modules: impl Iterator<Item = &'a LinearModule>,
        config: &LoraConfig,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let matcher = ModuleMatcher::new(config)?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut weights = BTreeMap::new();
        let modules: Vec<&LinearModule> = modules.collect();
        for module in &modules {
            if !matcher.selects(&module.name)? {
                continue;
            }
            let rank = matcher.rank(&module.name)?;
            let bound = 1.0 / (module.in_features as f32).sqrt();
            let count = (rank * module.in_features) as usize;
            let a: Vec<f32> = (0..count)
                .map(|_| random.random_range(-bound..bound))
                .collect();
            let a = Tensor::f_from_slice(&a)?.f_view([rank, module.in_features])?;
            let b = Tensor::f_zeros([module.out_features, rank], (a.kind(), module.device))?;
            let update = LoraWeights {
                a: SharedTensor::new(a.f_to_device(module.device)?),
                b: SharedTensor::new(b),
                scaling: matcher.scaling(&module.name, rank)?,
            };
            weights.insert(module.name.clone(), update);
        }
        check_targets_exist(config, &modules, &weights)?;
        Ok(Self::new(config.clone(), Some(base.to_owned()), weights))
    }

    /// Creates an adapter from the matrices A, `[rank, in_features]`, and B, `[out_features, rank]`,
    /// of each module. A module's name is that of Hugging Face, such as
    /// `model.layers.0.self_attn.q_proj`.
    ///
    /// # Errors
    /// When a matrix does not have the rank that `config` gives to its module.
    pub fn from_tensors(
        config: LoraConfig,
        tensors: impl IntoIterator<Item = (String, Tensor, Tensor)>,
    ) -> Result<Self, ModelError> {
        let matcher = ModuleMatcher::new(&config)?;
        let mut weights = BTreeMap::new();
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
            let scaling = matcher.scaling(&module, rank)?;
            weights.insert(module, LoraWeights::copy_of(&a, &b, scaling)?);
        }
        drop(matcher);
        Ok(Self::new(config, None, weights))
    }

    pub(super) fn new(
        config: LoraConfig,
        base: Option<String>,
        weights: BTreeMap<String, LoraWeights>,
    ) -> Self {
        Self {
            config,
            base,
            weights: Arc::new(weights),
            dropout: 0.0,
            merged: None,
        }
    }

    /// The options of the adapter.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// The name of the model for which the adapter was made, if it is known.
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// Each adapted module's name, A `[rank, in_features]` and B `[out_features, rank]`.
    pub fn modules(&self) -> impl Iterator<Item = (&str, &Tensor, &Tensor)> {
        self.weights
            .iter()
            .map(|(module, weights)| (module.as_str(), &*weights.a, &*weights.b))
    }

    /// The number of parameters in all A and B.
    pub fn parameter_count(&self) -> u64 {
        self.modules()
            .map(|(_, a, b)| (a.numel() + b.numel()) as u64)
            .sum()
    }

    /// Bytes of all A and B, and of the merged weights.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let merged = self.merged.iter().flat_map(|merged| merged.values());
        let merged = merged.map(|weight| weight.tensor().bytes() + weight.blocked_bytes());
        let weights = self.weights.values();
        weights
            .flat_map(|weights| [&weights.a, &weights.b])
            .map(SharedTensor::bytes)
            .chain(merged)
            .sum()
    }

    /// Fails if an adapted module is not among `modules`, or has another shape there.
    pub(crate) fn check_fits<'a>(
        &self,
        modules: impl Iterator<Item = &'a LinearModule>,
    ) -> Result<(), ModelError> {
        let by_name: BTreeMap<&str, &LinearModule> = modules
            .map(|module| (module.name.as_str(), module))
            .collect();
        for (name, a, b) in self.modules() {
            let Some(module) = by_name.get(name) else {
                return Err(ModelError::Adapter {
                    detail: format!("the model has no {name}"),
                });
            };
            let found = (a.size()[1], b.size()[0]);
            let expected = (module.in_features, module.out_features);
            if found != expected {
                let detail = format!(
                    "{name} maps {} to {} numbers, in the model {} to {}",
                    found.0, found.1, expected.0, expected.1
                );
                return Err(ModelError::Adapter { detail });
            }
        }
        Ok(())
    }

    /// A copy for training: its matrices collect gradients, and dropout is on.
    pub(crate) fn trainable(&self) -> Result<Self, TchError> {
        let mut copy = self.detached_copy()?;
        copy.dropout = self.config.dropout;
        for mut parameter in copy.parameters() {
            let _ = parameter.f_requires_grad_(true)?;
        }
        Ok(copy)
    }

    /// A copy that shares no storage with this adapter and collects no gradients.
    pub(crate) fn detached_copy(&self) -> Result<Self, TchError> {
        let mut copies = BTreeMap::new();
        for (module, weights) in self.weights.iter() {
            let copy = LoraWeights::copy_of(&weights.a, &weights.b, weights.scaling)?;
            copies.insert(module.clone(), copy);
        }
        Ok(Self::new(self.config.clone(), self.base.clone(), copies))
    }

    /// Every A and B, as tensors over the same storage.
    pub(crate) fn parameters(&self) -> Vec<Tensor> {
        self.modules()
            .flat_map(|(_, a, b)| [a.shallow_clone(), b.shallow_clone()])
            .collect()
    }

    /// Whether both are clones of one adapter.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.weights, &other.weights)
    }

    /// Whether the linear module `module` is adapted.
    pub(crate) fn has_module(&self, module: &str) -> bool {
        self.weights.contains_key(module)
    }

    /// A clone that computes with these weights in place of the model's own.
    pub(crate) fn with_merged(&self, merged: BTreeMap<String, LinearWeight>) -> Self {
        Self {
            merged: Some(Arc::new(merged)),
            ..self.clone()
        }
    }

    /// A clone that computes its updates beside the model's own weights.
    pub(crate) fn without_merged(&self) -> Self {
        Self {
            merged: None,
            ..self.clone()
        }
    }

    /// Whether the updates have been added to copies of the model's weights.
    pub(crate) fn is_merged(&self) -> bool {
        self.merged.is_some()
    }

    /// The weight to use in place of the model's own whose first module is `module`.
    pub(crate) fn merged_weight(&self, module: &str) -> Option<&LinearWeight> {
        self.merged.as_ref()?.get(module)
    }

    /// `alpha / r * B A`, `[out_features, in_features]`, if the linear module `module` is adapted.
    pub(crate) fn delta_weight(&self, module: &str) -> Result<Option<Tensor>, TchError> {
        let Some(weights) = self.weights.get(module) else {
            return Ok(None);
        };
        let delta = weights.b.f_matmul(&weights.a)?;
        Ok(Some(delta.f_mul_scalar(weights.scaling)?))
    }

    /// Adds `alpha / r * B A x` to `output`, `[tokens, out_features]`, of the linear module `module`
    /// for the input `x`, `[tokens, in_features]`.
    pub(crate) fn add_update(
        &self,
        module: &str,
        x: &Tensor,
        mut output: Tensor,
    ) -> Result<Tensor, TchError> {
        let Some(weights) = self.weights.get(module) else {
            return Ok(output);
        };
        // A no-op unless the adapter was made for a model on another device.
        let a = weights.a.f_to_device(x.device())?;
        let b = weights.b.f_to_device(x.device())?;
        let x = x.f_to_kind(a.kind())?;
        // [tokens, rank]
        let mut reduced = if self.dropout > 0.0 {
            linear(&x.f_dropout(self.dropout, true)?, &a)?
        } else {
            linear(&x, &a)?
        };
        if weights.scaling != 1.0 {
            reduced = reduced.f_mul_scalar(weights.scaling)?;
        }
        if output.kind() == reduced.kind() {
            let b = b.f_transpose(0, 1)?;
            return if reduced.requires_grad() || output.requires_grad() {
                output.f_addmm(&reduced, &b)
            } else {
                // In place is safe: without gradients nothing else refers to the output.
                output.f_addmm_(&reduced, &b)
            };
        }
        // An adapter may be more precise than the weights that it updates. Like PEFT, add in the
        // higher precision and round the sum.
        output
            .f_add(&linear(&reduced, &b)?)?
            .f_to_kind(output.kind())
    }
}

/// Fails if a target names no module, which is more often a misspelling than intended.
fn check_targets_exist(
    config: &LoraConfig,
    modules: &[&LinearModule],
    weights: &BTreeMap<String, LoraWeights>,
) -> Result<(), ModelError> {
    let missing = match &config.targets {
        Targets::Names(names) => names
            .iter()
            .find(|name| {
                !modules
                    .iter()
                    .any(|module| name_selects(name, &module.name))
            })
            .cloned(),
        Targets::Pattern(pattern) if weights.is_empty() => Some(pattern.clone()),
        _ => None,
    };
    let Some(missing) = missing else {
        return Ok(());
    };
    let last_part = |module: &&LinearModule| {
        let last = module.name.rsplit('.').next();
        last.unwrap_or_default().to_owned()
    };
    let known: BTreeSet<String> = modules.iter().map(last_part).collect();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    Err(ModelError::Adapter {
        detail: format!("no module is named {missing}, known: {known}"),
    })
}

impl fmt::Display for Adapter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}LoRA of rank {} on {} modules ({} parameters)",
            if self.is_merged() { "merged " } else { "" },
            self.config.rank,
            self.weights.len(),
            self.parameter_count()
        )
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Adapter({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn dropout_is_applied_to_the_input_of_a_and_in_training_only() {
        let config = LoraConfig {
            rank: 2,
            alpha: 2.0,
            dropout: 0.25,
            ..LoraConfig::default()
        };
        let cpu = (Kind::Float, Device::Cpu);
        let identity = || Tensor::eye(2, cpu);
        let matrices = [("module".to_owned(), identity(), identity())];
        let adapter = Adapter::from_tensors(config, matrices).unwrap();
        let (x, output) = (
            Tensor::ones([10_000, 2], cpu),
            Tensor::zeros([10_000, 2], cpu),
        );
        let update = |adapter: &Adapter| {
            tch::manual_seed(1);
            let updated = adapter.add_update("module", &x, output.copy()).unwrap();
            Vec::<f32>::try_from(updated.detach().view(-1)).unwrap()
        };
        assert!(update(&adapter).iter().all(|&number| number == 1.0));
        let training = update(&adapter.trainable().unwrap());
        let dropped = training.iter().filter(|&&number| number == 0.0).count();
        let kept = |number: &&f32| (**number - 1.0 / 0.75).abs() < 1e-6;
        assert_eq!(training.iter().filter(kept).count(), 20_000 - dropped);
        // Allows five standard errors of a quarter of 20,000.
        assert!(dropped.abs_diff(5000) < 310, "{dropped}");
    }
}
