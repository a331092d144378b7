//! One decoder-only transformer; what differs between models is in its parts.
//!
//! Tokens are flat: a pass over several sequences, or one token each of several rows, is one
//! `[tokens, hidden]` matrix without padding, so that every projection is one matrix product.
//! Only attention looks at where a sequence begins and ends ([`pass`]).
//!
//! - [`decoder`]: the whole, from token ids to logits; [`layer`]: one of its layers;
//! - [`attention`] with [`latent`] and [`attend`], [`feed_forward`] with [`mlp`] and [`experts`],
//!   [`per_layer`], [`norm`], [`rope`], [`linear`]: its parts; [`parts`]: how they are read;
//! - [`matrix`] with [`product`] and [`onednn`]: the matrix product under all of them;
//! - [`pass`]: which tokens see which; [`trace`]: a pass that gradients go back through;
//! - [`cache`] with [`slab`]: keys and values of rows that are being generated;
//! - [`shared_tensor`]: a tensor that threads may share; [`parameter`]: one that belongs to no linear map;
//! - [`stored`]: all of them, as a checkpoint has them.

mod attention;
mod checkpoint_tensor;
mod decoder;
mod decoder_layer;
mod feed_forward;
mod forward_pass;
mod kv_bucket;
mod kv_cache;
mod latent_attention;
mod linear;
mod linear_weight;
mod mlp;
mod moe;
mod norm;
mod onednn;
mod parameter;
mod per_layer_input;
mod product;
mod rope;
mod sdpa;
mod shared_tensor;
mod tape;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use checkpoint_tensor::CheckpointTensor;
pub(crate) use decoder::Transformer;
pub(crate) use forward_pass::{ForwardPass, PackedSequences};
pub(crate) use kv_cache::{CacheError, KvCache};
pub(crate) use linear::LinearModule;
pub(crate) use linear_weight::LinearWeight;
pub(crate) use product::linear;
pub(crate) use shared_tensor::SharedTensor;
