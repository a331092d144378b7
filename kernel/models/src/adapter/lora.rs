//! Low-rank updates of linear maps (<https://arxiv.org/abs/2106.09685>).

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, TchError, Tensor};

use super::LoraConfig;
use crate::ModelError;
use crate::transformer::{LinearMap, Weight, product};

/// A set of updates `W + alpha / r * B A`, one for each adapted module. Cloning is cheap.
#[derive(Clone)]
pub struct Adapter {
    config: LoraConfig,
    updates: Arc<BTreeMap<String, Update>>,
    /// Probability of dropping an input; not 0 only while training.
    dropout: f64,
}

struct Update {
    /// `[rank, inputs]`
    a: Weight,
    /// `[outputs, rank]`
    b: Weight,
}

impl Update {
    /// Matrices of their own storage, outside any gradient graph.
    fn copy_of(a: &Tensor, b: &Tensor) -> Result<Self, TchError> {
        let _no_grad = tch::no_grad_guard();
        let copy = |tensor: &Tensor| {
            let mut copy = tensor.f_empty_like()?;
            copy.f_copy_(tensor)?;
            Ok::<_, TchError>(Weight::new(copy))
        };
        Ok(Self {
            a: copy(a)?,
            b: copy(b)?,
        })
    }
}

impl Adapter {
    /// A new adapter that changes nothing yet: A is uniform between -1/sqrt(inputs) and
    /// 1/sqrt(inputs), B is zero (PEFT's `kaiming_uniform(a=sqrt(5))`).
    pub(crate) fn initialise<'a>(
        maps: impl Iterator<Item = &'a LinearMap>,
        config: &LoraConfig,
        seed: u64,
        device: Device,
    ) -> Result<Self, ModelError> {
        config.check()?;
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut updates = BTreeMap::new();
        let mut known = Vec::new();
        for map in maps {
            known.push(map.module.rsplit('.').next().unwrap_or_default().to_owned());
            if !config.is_target(&map.module) {
                continue;
            }
            let bound = 1.0 / (map.inputs as f32).sqrt();
            let count = (config.rank * map.inputs) as usize;
            let a: Vec<f32> = (0..count)
                .map(|_| random.random_range(-bound..bound))
                .collect();
            let a = Tensor::f_from_slice(&a)?.f_view([config.rank, map.inputs])?;
            let b = Tensor::f_zeros([map.outputs, config.rank], (a.kind(), device))?;
            let update = Update {
                a: Weight::new(a.f_to_device(device)?),
                b: Weight::new(b),
            };
            updates.insert(map.module.clone(), update);
        }
        if let Some(target) = config.targets.iter().find(|target| !known.contains(target)) {
            known.sort();
            known.dedup();
            let detail = format!("no module is named {target}, known: {}", known.join(", "));
            return Err(ModelError::Adapter { detail });
        }
        Ok(Self {
            config: config.clone(),
            updates: Arc::new(updates),
            dropout: 0.0,
        })
    }

    /// An adapter from the matrices A, `[rank, inputs]`, and B, `[outputs, rank]`, of each module,
    /// named as `model.layers.0.self_attn.q_proj`.
    ///
    /// # Errors
    /// When a matrix does not have the rank of `config`.
    pub fn from_tensors(
        config: LoraConfig,
        tensors: impl IntoIterator<Item = (String, Tensor, Tensor)>,
    ) -> Result<Self, ModelError> {
        config.check()?;
        let mut updates = BTreeMap::new();
        for (module, a, b) in tensors {
            let (shape_a, shape_b) = (a.size(), b.size());
            if shape_a.len() != 2
                || shape_b.len() != 2
                || shape_a[0] != config.rank
                || shape_b[1] != config.rank
            {
                let detail = format!(
                    "{module} has A {shape_a:?} and B {shape_b:?}, the rank is {}",
                    config.rank
                );
                return Err(ModelError::Adapter { detail });
            }
            updates.insert(module, Update::copy_of(&a, &b)?);
        }
        Ok(Self {
            config,
            updates: Arc::new(updates),
            dropout: 0.0,
        })
    }

    /// The options it was made with.
    pub fn config(&self) -> &LoraConfig {
        &self.config
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

    /// Bytes of all A and B.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.updates
            .values()
            .map(|update| update.a.bytes() + update.b.bytes())
            .sum()
    }

    /// Fails if a module is not among `maps` or has another shape there.
    pub(crate) fn check_fits<'a>(
        &self,
        maps: impl Iterator<Item = &'a LinearMap>,
    ) -> Result<(), ModelError> {
        let maps: BTreeMap<&str, &LinearMap> = maps.map(|map| (map.module.as_str(), map)).collect();
        for (module, a, b) in self.modules() {
            let Some(map) = maps.get(module) else {
                return Err(ModelError::Adapter {
                    detail: format!("the model has no {module}"),
                });
            };
            let (found, expected) = ((a.size()[1], b.size()[0]), (map.inputs, map.outputs));
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
        for (module, a, b) in self.modules() {
            updates.insert(module.to_owned(), Update::copy_of(a, b)?);
        }
        Ok(Self {
            config: self.config.clone(),
            updates: Arc::new(updates),
            dropout: 0.0,
        })
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
    pub(crate) fn adapts(&self, module: &str) -> bool {
        self.updates.contains_key(module)
    }

    /// `output + alpha / r * B A x` for the map `module` with input `x`, `[tokens, inputs]`.
    pub(crate) fn adapt(
        &self,
        module: &str,
        x: &Tensor,
        output: Tensor,
    ) -> Result<Tensor, TchError> {
        let Some(update) = self.updates.get(module) else {
            return Ok(output);
        };
        let x = x.f_to_kind(update.a.kind())?;
        let mut reduced = match self.dropout > 0.0 {
            true => product(&x.f_dropout(self.dropout, true)?, &update.a)?,
            false => product(&x, &update.a)?,
        };
        let scale = self.config.scale();
        if scale != 1.0 {
            reduced = reduced.f_mul_scalar(scale)?;
        }
        if output.kind() == reduced.kind() {
            return output.f_addmm(&reduced, &update.b.f_transpose(0, 1)?);
        }
        // As in PEFT, an adapter may be more precise than the weights that it updates.
        output
            .f_add(&product(&reduced, &update.b)?)?
            .f_to_kind(output.kind())
    }
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            formatter,
            "LoRA of rank {} on {} modules ({} parameters)",
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
