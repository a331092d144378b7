//! The whole transformer: from token ids to logits.

use std::collections::BTreeMap;

use tch::{Device, TchError, Tensor};

use super::KeyValueCache;
use super::attention::Attention;
use super::feed_forward::FeedForward;
use super::linear::{Linear, LinearMap};
use super::norm::RmsNorm;
use super::parts::Parts;
use super::rope::{Rope, Rotation};
use super::{Packed, Pass, Weight};
use crate::adapter::{Adapter, Adapters};
use crate::checkpoint::Checkpoint;
use crate::{Configuration, ModelError};

/// A decoder-only transformer with its weights on a device.
pub(crate) struct Transformer {
    /// `[vocabulary, hidden]`
    embedding: Weight,
    layers: Vec<Layer>,
    norm: RmsNorm,
    head: Linear,
    rope: Rope,
    tied: bool,
}

/// `x += attention(norm(x))`, then `x += mlp(norm(x))`.
struct Layer {
    attention_norm: RmsNorm,
    attention: Attention,
    mlp_norm: RmsNorm,
    mlp: FeedForward,
}

impl Transformer {
    /// Reads all weights.
    pub(crate) fn load(
        checkpoint: &dyn Checkpoint,
        configuration: &Configuration,
        device: Device,
    ) -> Result<Self, ModelError> {
        let parts = Parts {
            checkpoint,
            configuration,
            device,
        };
        let (vocabulary, hidden) = (configuration.vocab_size, configuration.hidden_size);
        let embedding = parts.weight("model.embed_tokens.weight", &[vocabulary, hidden])?;
        let head = LinearMap {
            module: "lm_head".to_owned(),
            inputs: hidden,
            outputs: vocabulary,
        };
        let head = match configuration.tie_word_embeddings {
            true => Linear::tied(&embedding, head),
            false => Linear::load(checkpoint, vec![head], false, device)?,
        };
        let mut layers = Vec::new();
        for layer in 0..configuration.num_hidden_layers {
            offmodel_events::interrupt::check()?;
            layers.push(Layer::load(&parts, layer)?);
        }
        Ok(Self {
            embedding,
            layers,
            norm: parts.norm("model.norm", hidden)?,
            head,
            rope: Rope::new(configuration, device)?,
            tied: configuration.tie_word_embeddings,
        })
    }

    /// Tokens of the vocabulary.
    pub(crate) fn vocabulary(&self) -> i64 {
        self.embedding.size()[0]
    }

    /// The embedding or the output layer by its Hugging Face name, without `.weight`.
    pub(crate) fn matrix(&self, name: &str) -> Option<&Tensor> {
        match name {
            "model.embed_tokens" => Some(&self.embedding),
            "lm_head" => self.head.weights().next().map(std::ops::Deref::deref),
            _ => None,
        }
    }

    /// The matrices that `adapter` changes, changed: `W + alpha / r * B A`.
    pub(crate) fn merged(&self, adapter: &Adapter) -> Result<BTreeMap<String, Weight>, TchError> {
        let _no_grad = tch::no_grad_guard();
        let merged = self.linears().map(|linear| linear.merged(adapter));
        merged.filter_map(Result::transpose).collect()
    }

    /// The maps to which an adapter may be attached, in the order of the computation.
    pub(crate) fn linear_maps(&self) -> impl Iterator<Item = &LinearMap> {
        self.linears().flat_map(Linear::maps)
    }

    /// Every weight once.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &Weight> {
        let norms = self
            .layers
            .iter()
            .flat_map(|layer| [&layer.attention_norm, &layer.mlp_norm]);
        let norms = norms.chain([&self.norm]).map(|norm| &norm.weight);
        let head = &raw const self.head;
        let linears = self.linears().filter(move |&linear| {
            // A tied head is the embedding again.
            !(self.tied && std::ptr::eq(linear, head))
        });
        let others = self.layers.iter().flat_map(|layer| {
            let mut others = layer.attention.norm_weights();
            others.extend(layer.mlp.router_weights());
            others
        });
        norms
            .chain([&self.embedding])
            .chain(others)
            .chain(linears.flat_map(Linear::weights))
    }

    fn linears(&self) -> impl Iterator<Item = &Linear> {
        let layers = self.layers.iter().flat_map(|layer| {
            layer
                .attention
                .linears()
                .into_iter()
                .chain(layer.mlp.linears())
        });
        layers.chain([&self.head])
    }

    /// The last layer's output for whole sequences, `[tokens, hidden]`.
    pub(crate) fn sequences(
        &self,
        packed: &Packed,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let mut pass = Pass::Sequences(&packed.lengths);
        self.forward(&packed.tokens, &packed.positions, &mut pass, adapters)
    }

    /// The last layer's output for whole sequences that become the next rows of the cache.
    pub(crate) fn prefill(
        &self,
        packed: &Packed,
        cache: &mut KeyValueCache,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let mut pass = Pass::Prefill(&packed.lengths, cache);
        let output = self.forward(&packed.tokens, &packed.positions, &mut pass, adapters)?;
        cache.push(&packed.lengths);
        Ok(output)
    }

    /// The last layer's output for one more token of every row, `[rows, hidden]`.
    pub(crate) fn decode(
        &self,
        tokens: &Tensor,
        cache: &mut KeyValueCache,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let positions = cache.begin_step(tokens.device())?;
        let output = self.forward(tokens, &positions, &mut Pass::Decode(cache), adapters)?;
        cache.end_step();
        Ok(output)
    }

    /// Logits, `[tokens, vocabulary]`, of outputs of the last layer.
    pub(crate) fn logits(&self, output: &Tensor, adapters: &Adapters) -> Result<Tensor, TchError> {
        self.head.forward_one(&self.norm.forward(output)?, adapters)
    }

    fn forward(
        &self,
        tokens: &Tensor,
        positions: &Tensor,
        pass: &mut Pass,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let rotation = self.rope.rotation(positions)?;
        let mut x = self.embedding.f_index_select(0, tokens)?;
        for layer in &self.layers {
            x = layer.forward(&x, &rotation, pass, adapters)?;
        }
        Ok(x)
    }
}

impl Layer {
    fn load(parts: &Parts, layer: i64) -> Result<Self, ModelError> {
        let prefix = format!("model.layers.{layer}");
        let hidden = parts.configuration.hidden_size;
        let norm = |name: &str| parts.norm(&format!("{prefix}.{name}"), hidden);
        let attention = format!("{prefix}.self_attn");
        Ok(Self {
            attention_norm: norm("input_layernorm")?,
            attention: Attention::load(parts, layer as usize, &attention)?,
            mlp_norm: norm("post_attention_layernorm")?,
            mlp: FeedForward::load(parts, layer, &format!("{prefix}.mlp"))?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        rotation: &Rotation,
        pass: &mut Pass,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let normed = self.attention_norm.forward(x)?;
        let x = x.f_add(&self.attention.forward(&normed, rotation, pass, adapters)?)?;
        let normed = self.mlp_norm.forward(&x)?;
        x.f_add(&self.mlp.forward(&normed, adapters)?)
    }
}
