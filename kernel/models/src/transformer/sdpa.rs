//! Causal scaled dot-product attention over packed sequences, with or without a cache.

use tch::{Kind, TchError, Tensor};

use super::forward_pass::{Decode, ForwardPass, Prefill};
use super::weights::concatenate;
use crate::configuration::KvHeads;

/// Scaled dot-product attention of projected and rotated heads.
pub(super) struct Sdpa {
    /// Where the layer's keys and values are in the cache.
    pub(super) cache_layer: usize,
    /// Query heads.
    pub(super) num_heads: i64,
    pub(super) kv_heads: KvHeads,
    /// Factor of the scores; `1 / sqrt(key_dim)` if absent.
    pub(super) scale: Option<f64>,
    /// `c` of `c * tanh(scores / c)` before the softmax (Gemma 2).
    pub(super) softcap: Option<f64>,
    /// Tokens that a token attends to, itself included; all if absent.
    pub(super) sliding_window: Option<i64>,
}

impl Sdpa {
    /// Queries, keys and values are `[tokens, heads, size]`; the result is
    /// `[tokens, num_heads * value_dim]`.
    pub(super) fn forward(
        &self,
        pass: &mut ForwardPass,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, TchError> {
        match pass {
            ForwardPass::Uncached(lengths) => {
                self.each_sequence(lengths, None, queries, keys, values)
            }
            ForwardPass::Prefill(lengths, prefill) => {
                self.each_sequence(lengths, Some(prefill), queries, keys, values)
            }
            ForwardPass::Decode(decode) => self.decode(decode, queries, keys, values),
        }
    }

    /// Attends within each of the packed sequences, one after the other.
    fn each_sequence(
        &self,
        lengths: &[i64],
        prefill: Option<&Prefill>,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, TchError> {
        let split = |tensor: &Tensor| tensor.f_split_with_sizes(lengths, 0);
        let (queries, keys, values) = (split(queries)?, split(keys)?, split(values)?);
        let mut outputs = Vec::with_capacity(lengths.len());
        for (index, ((queries, keys), values)) in queries.iter().zip(&keys).zip(&values).enumerate()
        {
            // [heads, tokens, size]
            let (queries, keys, values) = (
                queries.f_transpose(0, 1)?,
                keys.f_transpose(0, 1)?,
                values.f_transpose(0, 1)?,
            );
            let cached = match prefill {
                Some(prefill) => prefill.append(index, self.cache_layer, &keys, &values)?,
                None => None,
            };
            let (keys, values, mask) = match cached {
                Some(([keys, values], mask)) => {
                    (keys, values, Some(mask.f_to_device(queries.device())?))
                }
                None => (keys, values, None),
            };
            let mask = self.window_mask(&queries, &keys)?.or(mask);
            let output = match self.softcap {
                None => Tensor::f_scaled_dot_product_attention(
                    &queries.f_unsqueeze(0)?,
                    &keys.f_unsqueeze(0)?,
                    &values.f_unsqueeze(0)?,
                    mask.as_ref(),
                    0.0,
                    mask.is_none(),
                    self.scale,
                    self.num_heads != self.kv_heads.count,
                )?
                .f_squeeze_dim(0)?,
                Some(cap) => self.capped_sequence(cap, &queries, &keys, &values, mask)?,
            };
            // [tokens, num_heads * value_dim]
            let output = output.f_transpose(0, 1)?;
            outputs.push(output.f_reshape([-1, self.num_heads * self.kv_heads.value_dim])?);
        }
        concatenate(outputs)
    }

    /// A mask, `[tokens, all tokens]`, that is true within the sliding window; none if all tokens
    /// fit into it. Queries and keys are `[heads, tokens, size]`.
    fn window_mask(&self, queries: &Tensor, keys: &Tensor) -> Result<Option<Tensor>, TchError> {
        let (tokens, all_tokens) = (queries.size()[1], keys.size()[1]);
        let Some(window) = self.sliding_window.filter(|&window| all_tokens > window) else {
            return Ok(None);
        };
        let everything = Tensor::f_ones([tokens, all_tokens], (Kind::Bool, queries.device()))?;
        let start = all_tokens - tokens;
        let mask = everything.f_tril(start)?.f_triu(start + 1 - window)?;
        Ok(Some(mask))
    }

    /// Capped attention within one sequence. Tensors are `[heads, tokens, size]`; so is the result.
    fn capped_sequence(
        &self,
        cap: f64,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
        mask: Option<Tensor>,
    ) -> Result<Tensor, TchError> {
        let KvHeads {
            count,
            key_dim,
            value_dim,
        } = self.kv_heads;
        let (tokens, all_tokens) = (queries.size()[1], keys.size()[1]);
        let mask = match mask {
            Some(mask) => mask,
            None => {
                Tensor::f_ones([tokens, all_tokens], (Kind::Bool, queries.device()))?.f_tril(0)?
            }
        };
        // [kv_heads, query heads per kv_head, tokens, size]
        let queries = queries.f_reshape([count, -1, tokens, key_dim])?;
        let (keys, values) = (keys.f_unsqueeze(1)?, values.f_unsqueeze(1)?);
        let output = self.capped(cap, [&queries, &keys, &values], Some(&mask))?;
        output.f_reshape([self.num_heads, tokens, value_dim])
    }

    /// Attends from one new token of every sequence in the cache.
    fn decode(
        &self,
        decode: &mut Decode,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, TchError> {
        let KvHeads {
            count,
            key_dim,
            value_dim,
        } = self.kv_heads;
        // The query heads of a group take the place of the queries of one head, so that no key or
        // value is repeated: [sequences, kv_heads, query heads per kv_head, size]
        let queries = queries.f_reshape([-1, count, self.num_heads / count, key_dim])?;
        let mut outputs = Vec::with_capacity(decode.groups());
        for group in 0..decode.groups() {
            let slice = |tensor| decode.slice(group, tensor);
            let (queries, keys, values) = (slice(&queries)?, slice(keys)?, slice(values)?);
            let ([keys, values], mask) = decode.append(
                group,
                self.cache_layer,
                self.sliding_window,
                [&keys, &values],
            )?;
            outputs.push(match self.softcap {
                None => Tensor::f_scaled_dot_product_attention(
                    &queries, &keys, &values, mask, 0.0, false, self.scale, false,
                )?,
                Some(cap) => self.capped(cap, [&queries, &keys, &values], mask.as_ref())?,
            });
        }
        concatenate(outputs)?.f_reshape([-1, self.num_heads * value_dim])
    }

    /// Attention with capped scores, in the operations of `eager_attention_forward` of
    /// `transformers`, because libtorch's fused attention has no cap.
    ///
    /// Queries are `[..., queries, size]`, keys and values `[..., tokens, size]`. The mask is true,
    /// or 0, where a query attends to a token, and false, or -inf, elsewhere.
    fn capped(
        &self,
        cap: f64,
        [queries, keys, values]: [&Tensor; 3],
        mask: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let scale = self
            .scale
            .unwrap_or((self.kv_heads.key_dim as f64).powf(-0.5));
        let scores = queries.f_matmul(&keys.f_transpose(-2, -1)?)?;
        let scores = scores.f_mul_scalar(scale)?.f_div_scalar(cap)?;
        let scores = scores.f_tanh()?.f_mul_scalar(cap)?;
        let scores = match mask {
            None => scores,
            Some(mask) if mask.kind() == Kind::Bool => {
                scores.f_masked_fill(&mask.f_logical_not()?, f64::NEG_INFINITY)?
            }
            Some(mask) => scores.f_add(mask)?,
        };
        let weights = scores.f_softmax(-1, Kind::Float)?;
        weights.f_to_kind(queries.kind())?.f_matmul(values)
    }
}
