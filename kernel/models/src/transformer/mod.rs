//! One decoder-only transformer, composed from parts by the [`Configuration`](crate::Configuration).
//!
//! Tokens are packed: a forward pass over several sequences, or over one new token each of several
//! sequences, is one `[tokens, hidden]` tensor without padding, so that every projection is one
//! matrix product. Only attention needs to know where a sequence begins and ends ([`forward_pass`]).
//!
//! | modules | purpose |
//! |---|---|
//! | [`decoder`], [`decoder_layer`] | token ids to logits; one of the layers in between |
//! | [`attention`], [`latent_attention`], [`sdpa`], [`rope`] | attention |
//! | [`feed_forward`], [`mlp`], [`moe`] | the feed-forward block |
//! | [`per_layer_input`], [`norm`], [`linear`] | further parts |
//! | [`linear_weight`], [`onednn`] | the matrix product under all of them |
//! | [`forward_pass`] | which tokens a forward pass covers, and which attend to which |
//! | [`kv_cache`], [`kv_bucket`] | keys and values of the sequences that are being generated |
//! | [`tape`] | a forward pass whose gradients can be computed |
//! | [`weights`], [`parameter`] | reading tensors by name; tensors that threads share |
//! | [`checkpoint_tensor`] | all tensors as a checkpoint stores them, for saving |
//!
//! Structs and fields are named as in the checkpoint (`self_attn`, `o_proj`, `input_layernorm`);
//! fused ones as in vLLM (`qkv_proj`, `gate_up_proj`).

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
mod rope;
mod sdpa;
mod tape;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use checkpoint_tensor::CheckpointTensor;
pub(crate) use decoder::Transformer;
pub(crate) use forward_pass::PackedSequences;
pub(crate) use kv_cache::{CacheError, KvCache};
pub(crate) use linear::LinearModule;
pub(crate) use linear_weight::{LinearWeight, linear};
pub(crate) use parameter::SharedTensor;
