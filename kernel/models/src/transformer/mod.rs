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
//! - [`weight`]: a tensor that threads may share; [`parameter`]: one that belongs to no linear map;
//! - [`stored`]: all of them, as a checkpoint has them.

mod attend;
mod attention;
mod cache;
mod decoder;
mod experts;
mod feed_forward;
mod latent;
mod layer;
mod linear;
mod matrix;
mod mlp;
mod norm;
mod onednn;
mod parameter;
mod parts;
mod pass;
mod per_layer;
mod product;
mod rope;
mod slab;
mod stored;
#[cfg(test)]
mod tests;
mod trace;
mod weight;

pub(crate) use cache::{CacheError, KeyValueCache};
pub(crate) use decoder::Transformer;
pub(crate) use linear::LinearMap;
pub(crate) use matrix::Matrix;
pub(crate) use pass::{Packed, Pass};
pub(crate) use product::product;
pub(crate) use stored::Stored;
pub(crate) use weight::Weight;
