//! The whole transformer: from token ids to logits.

use std::collections::BTreeMap;

use offmodel_events::interrupt;
use tch::{Device, Kind, TchError, Tensor};

use super::KvCache;
use super::attention::SharedKeyValues;
use super::checkpoint_tensor::{CheckpointTensor, with_stacked_experts};
use super::decoder_layer::Layer;
use super::forward_pass::{Fill, Step};
use super::kv_bucket::CacheLayer;
use super::linear::{Linear, LinearModule};
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::per_layer_input::PerLayerEmbedding;
use super::rope::{Rope, Rotation};
use super::tape::Tape;
use super::weights::Weights;
use super::{ForwardPass, LinearWeight, PackedSequences, SharedTensor};
use crate::adapter::{Adapter, Adapters};
use crate::checkpoint::Checkpoint;
use crate::device::Placement;
use crate::{Configuration, ModelError};

/// A decoder-only transformer with its weights on one device or several.
///
/// Embedding, last norm and output layer are on the first device: hidden states go from there
/// through the layers of each device in turn and come back.
pub(crate) struct Transformer {
    /// `[vocabulary, hidden]`
    embedding: Parameter,
    /// Of embeddings, in the precision of the model.
    embedding_factor: Option<f64>,
    per_layer: Option<PerLayerEmbedding>,
    stages: Vec<Stage>,
    norm: RmsNorm,
    head: Linear,
    tied: bool,
    /// Whether the checkpoint has the weights of all experts of a layer in one tensor.
    stacked_experts: bool,
    /// `c` of the final `c * tanh(logits / c)`.
    softcap: Option<f64>,
    ropes: Ropes,
    slots: Vec<CacheLayer>,
    /// Whether layers use another's keys and values.
    shares_keys: bool,
}

/// Consecutive layers on one device.
struct Stage {
    device: Device,
    layers: Vec<Layer>,
}

/// The frequencies of layers that see everything, and of those that see a window.
struct Ropes {
    all: Rope,
    local: Option<Rope>,
}

/// The rotations of a pass, on the device of a stage.
pub(super) struct Rotations {
    all: Rotation,
    local: Option<Rotation>,
}

impl Transformer {
    /// Reads all weights.
    pub(crate) fn load(
        checkpoint: &dyn Checkpoint,
        configuration: &Configuration,
        placement: &Placement,
    ) -> Result<Self, ModelError> {
        let device = placement.first_device();
        let kind = placement.kind;
        let weights = Weights {
            checkpoint,
            configuration,
            device,
            kind,
        };
        let (vocabulary, hidden) = (configuration.vocab_size, configuration.hidden_size);
        let embedding = weights.weight("model.embed_tokens.weight", &[vocabulary, hidden])?;
        let map = LinearModule {
            name: "lm_head".to_owned(),
            in_features: hidden,
            out_features: vocabulary,
            device,
        };
        let head = match configuration.tie_word_embeddings {
            true => Linear::tied(embedding.weight(), map),
            false => Linear::load(&weights, vec![map], false)?,
        };
        let variations = &configuration.variations;
        let per_layer = match variations.per_layer_input {
            Some(shape) => Some(PerLayerEmbedding::load(&weights, shape)?),
            None => None,
        };
        let (mut stages, mut slots) = (Vec::new(), Vec::new());
        for (device, layers) in &placement.stages {
            // The slots of this stage, by the layer that fills them first.
            let mut slot_of = BTreeMap::new();
            let weights = Weights {
                device: *device,
                ..weights
            };
            let mut stage = Vec::new();
            for layer in layers.clone() {
                interrupt::check()?;
                let source = configuration.kv_source_layer(layer).unwrap_or(layer);
                let slot = *slot_of.entry(source).or_insert_with(|| {
                    slots.push(CacheLayer {
                        heads: configuration.kv_heads(layer),
                        kind,
                        device: *device,
                    });
                    slots.len() - 1
                });
                stage.push(Layer::load(&weights, layer, slot)?);
            }
            stages.push(Stage {
                device: *device,
                layers: stage,
            });
        }
        let scaled = variations.scaled_embedding;
        let transformer = Self {
            embedding,
            embedding_factor: match scaled {
                true => Some(rounded((hidden as f64).sqrt(), kind)?),
                false => None,
            },
            per_layer,
            stages,
            norm: weights.norm("model.norm", hidden)?,
            head,
            tied: configuration.tie_word_embeddings,
            stacked_experts: configuration
                .experts
                .as_ref()
                .is_some_and(|experts| experts.beside_mlp),
            softcap: variations.final_logit_softcapping,
            ropes: Ropes::new(configuration, device)?,
            slots,
            shares_keys: variations.num_kv_shared_layers > 0,
        };
        LinearWeight::spare_memory(transformer.matrices());
        Ok(transformer)
    }

    /// Tokens of the vocabulary.
    pub(crate) fn vocab_size(&self) -> i64 {
        self.embedding.size()[0]
    }

    /// Kind of the weights, of the numbers that layers hand on, and so of keys and values.
    pub(crate) fn kind(&self) -> Kind {
        self.embedding.kind()
    }

    /// What a cache of keys and values must hold: one slot for each layer that has its own, and in
    /// a stage for each other layer that has those of an earlier stage.
    pub(crate) fn cache_layers(&self) -> &[CacheLayer] {
        &self.slots
    }

    /// The embedding or the output layer by its Hugging Face name, without `.weight`.
    pub(crate) fn embedding_or_head(&self, name: &str) -> Option<&Tensor> {
        match name {
            "model.embed_tokens" => Some(&*self.embedding),
            "lm_head" => self.head.weights().next().map(std::ops::Deref::deref),
            _ => None,
        }
    }

    /// The matrices that `adapter` changes, changed: `W + alpha / r * B A`.
    pub(crate) fn merged(
        &self,
        adapter: &Adapter,
    ) -> Result<BTreeMap<String, LinearWeight>, TchError> {
        let _no_grad = tch::no_grad_guard();
        let merged = self.linears().map(|linear| linear.merged(adapter));
        let merged = merged.filter_map(Result::transpose);
        let merged: BTreeMap<_, _> = merged.collect::<Result<_, _>>()?;
        LinearWeight::spare_memory(merged.values());
        Ok(merged)
    }

    /// The maps to which an adapter may be attached, in the order of the computation.
    pub(crate) fn linear_modules(&self) -> impl Iterator<Item = &LinearModule> {
        self.linears().flat_map(Linear::maps)
    }

    /// Every weight once.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &SharedTensor> {
        let others = self.other_weights().map(Parameter::weight);
        others.chain(self.own_linears().flat_map(Linear::weights))
    }

    /// Bytes of second copies of matrices, all of them on the host.
    pub(crate) fn blocked_bytes(&self) -> u64 {
        self.matrices().map(LinearWeight::blocked_bytes).sum()
    }

    fn matrices(&self) -> impl Iterator<Item = &LinearWeight> + Clone {
        let per_layer = self.per_layer.iter().map(PerLayerEmbedding::projection);
        per_layer.chain(self.linears()).map(Linear::matrix)
    }

    /// Every tensor as a checkpoint has it, with the updates of `adapter` where they are merged.
    /// There is an output layer among them if it is not the embedding, or not any more.
    pub(crate) fn checkpoint_tensors(
        &self,
        adapter: Option<&Adapter>,
    ) -> Result<Vec<CheckpointTensor>, TchError> {
        let merged = |linear: &Linear| linear.merged_in(adapter).is_some();
        let mut tensors: Vec<CheckpointTensor> =
            self.other_weights().map(CheckpointTensor::from).collect();
        for linear in self.own_linears() {
            tensors.extend(linear.stored(adapter)?);
        }
        if self.tied && merged(&self.head) {
            tensors.extend(self.head.stored(adapter)?);
        }
        Ok(match self.stacked_experts {
            true => with_stacked_experts(tensors),
            false => tensors,
        })
    }

    /// The weights that belong to no linear map.
    fn other_weights(&self) -> impl Iterator<Item = &Parameter> {
        let per_layer = self.per_layer.iter();
        [&self.embedding]
            .into_iter()
            .chain(per_layer.flat_map(PerLayerEmbedding::other_weights))
            .chain(self.layers().flat_map(Layer::other_weights))
            .chain(self.norm.weight())
    }

    /// The linear maps with weights of their own: a tied head is the embedding again.
    fn own_linears(&self) -> impl Iterator<Item = &Linear> {
        let head = (!self.tied).then_some(&self.head);
        let per_layer = self.per_layer.iter().map(PerLayerEmbedding::projection);
        per_layer
            .chain(self.layers().flat_map(Layer::linears))
            .chain(head)
    }

    /// The maps to which an adapter may be attached.
    fn linears(&self) -> impl Iterator<Item = &Linear> + Clone {
        self.layers().flat_map(Layer::linears).chain([&self.head])
    }

    fn layers(&self) -> impl Iterator<Item = &Layer> + Clone {
        self.stages.iter().flat_map(|stage| &stage.layers)
    }

    /// The last layer's output for whole sequences, `[tokens, hidden]`.
    pub(crate) fn forward(
        &self,
        packed: &PackedSequences,
        adapters: &Adapters,
    ) -> Result<Tensor, ModelError> {
        let mut pass = ForwardPass::Sequences(&packed.lengths);
        self.run(&packed.tokens, &packed.positions, &mut pass, adapters)
    }

    /// Appends tokens to the rows of the cache that belong to `owners`.
    pub(crate) fn prefill(
        &self,
        packed: &PackedSequences,
        owners: &[usize],
        cache: &mut KvCache,
        adapters: &Adapters,
    ) -> Result<(), ModelError> {
        let options = (self.kind(), packed.tokens.device());
        let fill = Fill::new(cache, owners, &packed.lengths, options)?;
        let mut pass = ForwardPass::Fill(&packed.lengths, fill);
        let _ = self.run(&packed.tokens, &packed.positions, &mut pass, adapters)?;
        pass.end();
        Ok(())
    }

    /// The last layer's output, `[rows, hidden]`, for one more token of every row of the cache, in
    /// the order of its owners.
    pub(crate) fn decode(
        &self,
        tokens: &Tensor,
        cache: &mut KvCache,
        adapters: &Adapters,
    ) -> Result<Tensor, ModelError> {
        let step = Step::new(cache, (self.kind(), tokens.device()))?;
        let positions = step.positions.shallow_clone();
        let mut pass = ForwardPass::Step(step);
        let output = self.run(tokens, &positions, &mut pass, adapters)?;
        pass.end();
        Ok(output)
    }

    /// Logits, `[tokens, vocabulary]` in `f32`, of outputs of the last layer.
    pub(crate) fn logits(&self, output: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        let normed = self.norm.forward(output)?;
        let logits = self.head.forward_one(&normed, adapters)?;
        let logits = match self.softcap {
            Some(cap) => logits.f_div_scalar(cap)?.f_tanh()?.f_mul_scalar(cap)?,
            None => logits,
        };
        logits.f_to_kind(Kind::Float)
    }

    /// A pass over whole sequences that gradients can go back through.
    pub(crate) fn forward_with_tape(
        &self,
        packed: &PackedSequences,
        adapters: &Adapters,
    ) -> Result<Tape, ModelError> {
        let mut pass = ForwardPass::Sequences(&packed.lengths);
        // Layers that use another's keys and values, or inputs of their own, hang together.
        let is_chain = self.per_layer.is_none() && !self.shares_keys;
        let mut layers = Vec::new();
        let output = self.through_layers(
            &packed.tokens,
            &packed.positions,
            &mut pass,
            adapters,
            &mut |x| {
                if !is_chain {
                    return Ok(x);
                }
                let input = x.f_detach()?.f_requires_grad_(x.requires_grad())?;
                layers.push((input.shallow_clone(), x));
                Ok(input)
            },
        )?;
        Ok(Tape { layers, output })
    }

    fn run(
        &self,
        tokens: &Tensor,
        positions: &Tensor,
        pass: &mut ForwardPass,
        adapters: &Adapters,
    ) -> Result<Tensor, ModelError> {
        self.through_layers(tokens, positions, pass, adapters, &mut Ok)
    }

    /// A pass in which the input of every layer is what `before_layer` makes of it.
    fn through_layers(
        &self,
        tokens: &Tensor,
        positions: &Tensor,
        pass: &mut ForwardPass,
        adapters: &Adapters,
        before_layer: &mut dyn FnMut(Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, ModelError> {
        let mut x = self.embedding.f_index_select(0, tokens)?;
        if let Some(factor) = self.embedding_factor {
            x = x.f_mul_scalar(factor)?;
        }
        let per_layer = match &self.per_layer {
            Some(per_layer) => Some(per_layer.forward(&x, tokens, adapters)?),
            None => None,
        };
        let mut shared = SharedKeyValues::new();
        let mut layer_index = 0;
        for stage in &self.stages {
            x = x.f_to_device(stage.device)?;
            let positions = positions.f_to_device(stage.device)?;
            let rotations = self.ropes.rotations(&positions, self.kind())?;
            for layer in &stage.layers {
                // On a CPU, a pass over a few thousand tokens takes many seconds.
                interrupt::check()?;
                // [tokens, layers, size]
                let own = match &per_layer {
                    Some(inputs) => Some(inputs.f_select(1, layer_index)?),
                    None => None,
                };
                x = before_layer(x)?;
                x = layer.forward(&x, own.as_ref(), &rotations, &mut shared, pass, adapters)?;
                layer_index += 1;
            }
        }
        Ok(x.f_to_device(tokens.device())?)
    }
}

impl Ropes {
    fn new(configuration: &Configuration, device: Device) -> Result<Self, TchError> {
        let (base, scaling) = (configuration.rope_theta, configuration.rope_scaling);
        let local = match &configuration.variations.local {
            Some(local) => Some(Rope::new(
                local.rope_theta,
                local.head_dim,
                local.rope_scaling,
                device,
            )?),
            None => None,
        };
        Ok(Self {
            all: Rope::new(base, configuration.rotary_dim(), scaling, device)?,
            local,
        })
    }

    fn rotations(&self, positions: &Tensor, kind: Kind) -> Result<Rotations, TchError> {
        let local = self.local.as_ref();
        Ok(Rotations {
            all: self.all.rotation(positions, kind)?,
            local: local
                .map(|rope| rope.rotation(positions, kind))
                .transpose()?,
        })
    }
}

impl Rotations {
    /// Those of a layer that sees only a window, or of one that sees everything.
    pub(super) fn of(&self, is_local: bool) -> &Rotation {
        match &self.local {
            Some(local) if is_local => local,
            _ => &self.all,
        }
    }
}

/// The number nearest to `number` that `kind` has.
pub(super) fn rounded(number: f64, kind: Kind) -> Result<f64, TchError> {
    Tensor::f_from_slice(&[number])?
        .f_to_kind(kind)?
        .f_double_value(&[0])
}
