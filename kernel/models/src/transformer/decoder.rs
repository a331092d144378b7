//! The whole transformer: from token ids to logits.

use tch::{Device, Kind, TchError, Tensor};

use super::KeyValueCache;
use super::attention::Attention;
use super::feed_forward::FeedForward;
use super::linear::{Linear, LinearMap};
use super::norm::RmsNorm;
use super::parts::Parts;
use super::pass::{Fill, Step};
use super::rope::{Rope, Rotation};
use super::{Packed, Pass, Weight};
use crate::adapter::Adapters;
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

    /// Appends tokens to the rows of the cache that belong to `owners`.
    pub(crate) fn fill(
        &self,
        packed: &Packed,
        owners: &[usize],
        cache: &mut KeyValueCache,
        adapters: &Adapters,
    ) -> Result<(), TchError> {
        let options = (self.kind(), packed.tokens.device());
        let fill = Fill::new(cache, owners, &packed.lengths, options)?;
        let mut pass = Pass::Fill(&packed.lengths, fill);
        let _ = self.forward(&packed.tokens, &packed.positions, &mut pass, adapters)?;
        pass.end();
        Ok(())
    }

    /// The last layer's output, `[rows, hidden]`, for one more token of every row of the cache, in
    /// the order of its owners.
    pub(crate) fn step(
        &self,
        tokens: &Tensor,
        cache: &mut KeyValueCache,
        adapters: &Adapters,
    ) -> Result<Tensor, TchError> {
        let step = Step::new(cache, (self.kind(), tokens.device()))?;
        let positions = step.positions.shallow_clone();
        let mut pass = Pass::Step(step);
        let output = self.forward(tokens, &positions, &mut pass, adapters)?;
        pass.end();
        Ok(output)
    }

    /// Type of the numbers that layers hand on, and so of keys and values.
    pub(crate) fn kind(&self) -> Kind {
        self.embedding.kind()
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
