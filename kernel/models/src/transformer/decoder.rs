//! The whole transformer: from token ids to logits.

use std::collections::BTreeMap;
use std::ops::Range;

use offmodel_events::interrupt;
use tch::{Device, Kind, TchError, Tensor};

use super::attention::SharedKeyValues;
use super::checkpoint_tensor::stack_experts;
use super::decoder_layer::DecoderLayer;
use super::forward_pass::{Decode, ForwardPass, Prefill};
use super::kv_bucket::CacheLayer;
use super::linear::Linear;
use super::norm::RmsNorm;
use super::parameter::Parameter;
use super::per_layer_input::{PerLayerInputs, round_to_kind};
use super::rope::Ropes;
use super::tape::Tape;
use super::weights::Weights;
use super::{CheckpointTensor, KvCache, LinearModule, LinearWeight, PackedSequences, SharedTensor};
use crate::adapter::{Adapter, Adapters};
use crate::checkpoint::Checkpoint;
use crate::device::Placement;
use crate::{Configuration, ModelError};

/// A decoder-only transformer with its weights on one device or several.
///
/// Embedding, last norm and output layer are on the first device: hidden states go from there
/// through the layers of each device in turn and come back.
pub(crate) struct Transformer {
    /// `[vocab_size, hidden]`
    embed_tokens: Parameter,
    /// Factor of embeddings, rounded to the precision of the model (Gemma).
    embedding_scale: Option<f64>,
    per_layer_inputs: Option<PerLayerInputs>,
    stages: Vec<Stage>,
    norm: RmsNorm,
    lm_head: Linear,
    /// Whether `lm_head` uses the weight of `embed_tokens`.
    is_tied: bool,
    /// Whether the checkpoint stores the weights of all experts of a layer in one tensor.
    has_stacked_experts: bool,
    /// `c` of `c * tanh(logits / c)`.
    final_logit_softcapping: Option<f64>,
    ropes: Ropes,
    cache_layers: Vec<CacheLayer>,
    /// Whether some layers attend to the keys and values of another.
    has_shared_kv: bool,
}

/// A pipeline stage: consecutive layers on one device.
struct Stage {
    device: Device,
    layers: Vec<DecoderLayer>,
}

impl Transformer {
    /// Reads all weights.
    pub(crate) fn load(
        checkpoint: &dyn Checkpoint,
        configuration: &Configuration,
        placement: &Placement,
    ) -> Result<Self, ModelError> {
        let (device, kind) = (placement.first_device(), placement.kind);
        let root = Weights::new(checkpoint, configuration, device, kind);
        let model = root.pp("model");
        let variations = &configuration.variations;
        let (vocab_size, hidden) = (configuration.vocab_size, configuration.hidden_size);
        let embed_tokens = model.parameter("embed_tokens.weight", &[vocab_size, hidden])?;
        let lm_head = if configuration.tie_word_embeddings {
            let module = root.linear_module("lm_head", hidden, vocab_size);
            Linear::tied(embed_tokens.tensor(), module)
        } else {
            root.linear("lm_head", hidden, vocab_size, false)?
        };
        let per_layer_inputs = match variations.per_layer_input {
            Some(shape) => Some(PerLayerInputs::load(&model, shape)?),
            None => None,
        };
        let (mut stages, mut cache_layers) = (Vec::new(), Vec::new());
        for (device, layers) in &placement.stages {
            let weights = model.on_device(*device);
            stages.push(Stage::load(
                &weights,
                *device,
                layers.clone(),
                &mut cache_layers,
            )?);
        }
        let embedding_scale = variations
            .scaled_embedding
            .then(|| round_to_kind((hidden as f64).sqrt(), kind))
            .transpose()?;
        let moe = configuration.moe.as_ref();
        let transformer = Self {
            embed_tokens,
            embedding_scale,
            per_layer_inputs,
            stages,
            norm: model.rms_norm("norm", hidden)?,
            lm_head,
            is_tied: configuration.tie_word_embeddings,
            has_stacked_experts: moe.is_some_and(|moe| moe.beside_mlp),
            final_logit_softcapping: variations.final_logit_softcapping,
            ropes: Ropes::new(configuration, device)?,
            cache_layers,
            has_shared_kv: variations.num_kv_shared_layers > 0,
        };
        LinearWeight::limit_blocked_copies(transformer.linear_weights());
        Ok(transformer)
    }

    /// Computes the output of the last layer, `[tokens, hidden]`, for whole sequences, without a cache.
    pub(crate) fn forward(
        &self,
        packed: &PackedSequences,
        adapters: &Adapters,
    ) -> Result<Tensor, ModelError> {
        let mut pass = ForwardPass::Uncached(&packed.lengths);
        self.run(&packed.tokens, &packed.positions, &mut pass, adapters)
    }

    /// Computes the same as [`forward`](Self::forward), and records what its gradients need.
    pub(crate) fn forward_with_tape(
        &self,
        packed: &PackedSequences,
        adapters: &Adapters,
    ) -> Result<Tape, ModelError> {
        let mut pass = ForwardPass::Uncached(&packed.lengths);
        // The graph can be cut between layers only if each layer depends on the one before alone.
        let is_chain = self.per_layer_inputs.is_none() && !self.has_shared_kv;
        let mut layers = Vec::new();
        let output = self.run_with(
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

    /// Appends the keys and values of the packed tokens to the cache; each packed part continues one
    /// of `sequences`, in the same order.
    pub(crate) fn prefill(
        &self,
        packed: &PackedSequences,
        sequences: &[usize],
        cache: &mut KvCache,
        adapters: &Adapters,
    ) -> Result<(), ModelError> {
        let options = (self.kind(), packed.tokens.device());
        let prefill = Prefill::new(cache, sequences, &packed.lengths, options)?;
        let mut pass = ForwardPass::Prefill(&packed.lengths, prefill);
        let _ = self.run(&packed.tokens, &packed.positions, &mut pass, adapters)?;
        pass.commit();
        Ok(())
    }

    /// Computes the output of the last layer, `[sequences, hidden]`, for one more token, `[sequences]`, of
    /// every sequence in the cache, in the order of [`KvCache::sequences`].
    pub(crate) fn decode(
        &self,
        tokens: &Tensor,
        cache: &mut KvCache,
        adapters: &Adapters,
    ) -> Result<Tensor, ModelError> {
        let decode = Decode::new(cache, (self.kind(), tokens.device()))?;
        let positions = decode.positions.shallow_clone();
        let mut pass = ForwardPass::Decode(decode);
        let output = self.run(tokens, &positions, &mut pass, adapters)?;
        pass.commit();
        Ok(output)
    }

    /// Computes the logits, `[tokens, vocab_size]` in `f32`, of outputs of the last layer, `[tokens, hidden]`.
    pub(crate) fn logits(&self, output: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        let normed = self.norm.forward(output)?;
        let logits = self.lm_head.forward(&normed, adapters)?;
        let logits = match self.final_logit_softcapping {
            Some(cap) => logits.f_div_scalar(cap)?.f_tanh()?.f_mul_scalar(cap)?,
            None => logits,
        };
        logits.f_to_kind(Kind::Float)
    }

    fn run(
        &self,
        tokens: &Tensor,
        positions: &Tensor,
        pass: &mut ForwardPass,
        adapters: &Adapters,
    ) -> Result<Tensor, ModelError> {
        self.run_with(tokens, positions, pass, adapters, &mut Ok)
    }

    /// Computes the output of the last layer, `[tokens, hidden]`, for `tokens` at `positions`, both `[tokens]`.
    /// Every layer's input goes through `before_layer`.
    fn run_with(
        &self,
        tokens: &Tensor,
        positions: &Tensor,
        pass: &mut ForwardPass,
        adapters: &Adapters,
        before_layer: &mut dyn FnMut(Tensor) -> Result<Tensor, TchError>,
    ) -> Result<Tensor, ModelError> {
        // [tokens, hidden]
        let mut x = self.embed_tokens.f_index_select(0, tokens)?;
        if let Some(scale) = self.embedding_scale {
            x = x.f_mul_scalar(scale)?;
        }
        // [tokens, layers, size]
        let per_layer_inputs = match &self.per_layer_inputs {
            Some(inputs) => Some(inputs.forward(&x, tokens, adapters)?),
            None => None,
        };
        let mut shared = SharedKeyValues::new();
        let mut layer_index = 0;
        for stage in &self.stages {
            x = x.f_to_device(stage.device)?;
            let positions = positions.f_to_device(stage.device)?;
            let rotations = self.ropes.rotations(&positions, self.kind())?;
            for layer in &stage.layers {
                // On a CPU, a forward pass over a few thousand tokens takes many seconds.
                interrupt::check()?;
                let input = match &per_layer_inputs {
                    Some(inputs) => Some(inputs.f_select(1, layer_index)?),
                    None => None,
                };
                x = before_layer(x)?;
                x = layer.forward(&x, input.as_ref(), &rotations, &mut shared, pass, adapters)?;
                layer_index += 1;
            }
        }
        Ok(x.f_to_device(tokens.device())?)
    }

    /// Tokens in the vocabulary.
    pub(crate) fn vocab_size(&self) -> i64 {
        self.embed_tokens.size()[0]
    }

    /// Kind of the weights, of hidden states, and so of keys and values.
    pub(crate) fn kind(&self) -> Kind {
        self.embed_tokens.kind()
    }

    /// The layers of a cache for this model: one for each layer that computes keys and values, and
    /// one for each pipeline stage that uses those of an earlier stage.
    pub(crate) fn cache_layers(&self) -> &[CacheLayer] {
        &self.cache_layers
    }

    /// The weight of the embedding or the output layer by its Hugging Face name, without `.weight`.
    pub(crate) fn embedding_or_head(&self, name: &str) -> Option<&Tensor> {
        match name {
            "model.embed_tokens" => Some(&*self.embed_tokens),
            "lm_head" => Some(self.lm_head.weight().tensor()),
            _ => None,
        }
    }

    /// The linear layers to which an adapter may be attached, in the order of the computation.
    pub(crate) fn linear_modules(&self) -> impl Iterator<Item = &LinearModule> {
        self.adaptable_linears().flat_map(Linear::modules)
    }

    /// Copies the weights that `adapter` changes, and adds the change: `W + alpha / r * B A`.
    pub(crate) fn merged(
        &self,
        adapter: &Adapter,
    ) -> Result<BTreeMap<String, LinearWeight>, TchError> {
        let _no_grad = tch::no_grad_guard();
        let merged = self.adaptable_linears().map(|linear| linear.merge(adapter));
        let merged = merged.filter_map(Result::transpose);
        let merged: BTreeMap<_, _> = merged.collect::<Result<_, _>>()?;
        LinearWeight::limit_blocked_copies(merged.values());
        Ok(merged)
    }

    /// Every weight once.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &SharedTensor> {
        let parameters = self.parameters().map(Parameter::tensor);
        parameters.chain(self.untied_linears().flat_map(Linear::tensors))
    }

    /// Bytes of the blocked copies of weights, all of them on the host.
    pub(crate) fn blocked_bytes(&self) -> u64 {
        self.linear_weights().map(LinearWeight::blocked_bytes).sum()
    }

    /// Every tensor as a checkpoint stores it, with the updates of `adapter` if they are merged.
    ///
    /// They include an output layer unless it is tied to the embedding and the adapter does not
    /// change it.
    pub(crate) fn checkpoint_tensors(
        &self,
        adapter: Option<&Adapter>,
    ) -> Result<Vec<CheckpointTensor>, TchError> {
        let mut tensors: Vec<_> = self.parameters().map(CheckpointTensor::from).collect();
        for linear in self.untied_linears() {
            tensors.extend(linear.checkpoint_tensors(adapter)?);
        }
        if self.is_tied && self.lm_head.merged_in(adapter).is_some() {
            tensors.extend(self.lm_head.checkpoint_tensors(adapter)?);
        }
        if self.has_stacked_experts {
            tensors = stack_experts(tensors);
        }
        Ok(tensors)
    }

    /// The weights outside the linear layers.
    fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let inputs = self.per_layer_inputs.iter();
        [&self.embed_tokens]
            .into_iter()
            .chain(inputs.flat_map(PerLayerInputs::parameters))
            .chain(self.layers().flat_map(DecoderLayer::parameters))
            .chain(self.norm.weight())
    }

    /// The linear layers with weights of their own: all but a tied output layer.
    fn untied_linears(&self) -> impl Iterator<Item = &Linear> {
        let lm_head = (!self.is_tied).then_some(&self.lm_head);
        let inputs = self.per_layer_inputs.iter().map(PerLayerInputs::linear);
        inputs
            .chain(self.layers().flat_map(DecoderLayer::linears))
            .chain(lm_head)
    }

    fn adaptable_linears(&self) -> impl Iterator<Item = &Linear> + Clone {
        let layers = self.layers().flat_map(DecoderLayer::linears);
        layers.chain([&self.lm_head])
    }

    fn linear_weights(&self) -> impl Iterator<Item = &LinearWeight> + Clone {
        let inputs = self.per_layer_inputs.iter().map(PerLayerInputs::linear);
        inputs.chain(self.adaptable_linears()).map(Linear::weight)
    }

    fn layers(&self) -> impl Iterator<Item = &DecoderLayer> + Clone {
        self.stages.iter().flat_map(|stage| &stage.layers)
    }
}

impl Stage {
    /// Reads consecutive layers and adds the cache layers that they need; `weights` are those of
    /// `model`.
    fn load(
        weights: &Weights,
        device: Device,
        layers: Range<i64>,
        cache_layers: &mut Vec<CacheLayer>,
    ) -> Result<Self, ModelError> {
        let configuration = weights.configuration;
        // The cache layers of this stage, by the layer whose keys and values they hold.
        let mut cache_layer_of = BTreeMap::new();
        let mut loaded = Vec::new();
        for layer in layers {
            interrupt::check()?;
            let source = configuration.kv_source_layer(layer).unwrap_or(layer);
            let cache_layer = *cache_layer_of.entry(source).or_insert_with(|| {
                cache_layers.push(CacheLayer {
                    kv_heads: configuration.kv_heads(layer),
                    kind: weights.kind,
                    device,
                });
                cache_layers.len() - 1
            });
            let weights = weights.pp(&format!("layers.{layer}"));
            loaded.push(DecoderLayer::load(&weights, layer, cache_layer)?);
        }
        Ok(Self {
            device,
            layers: loaded,
        })
    }
}
