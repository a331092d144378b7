//! Causal attention of projected queries, keys and values, with or without a cache.

use tch::{Kind, TchError, Tensor};

use super::forward_pass::{Fill, ForwardPass, Step};

/// What the kinds of attention have in common once heads are projected and rotated.
pub(super) struct Sdpa {
    /// Its place in a cache.
    pub(super) slot: usize,
    pub(super) query_heads: i64,
    /// A divisor of the query heads.
    pub(super) key_value_heads: i64,
    /// Numbers of a query or key head.
    pub(super) key_size: i64,
    /// Numbers of a value head.
    pub(super) value_size: i64,
    /// Factor of the logits; `1 / sqrt(key_size)` where absent.
    pub(super) scale: Option<f64>,
    /// `c` of `c * tanh(logits / c)` before the softmax (Gemma 2).
    pub(super) softcap: Option<f64>,
    /// Tokens that a token sees, itself included; all where absent.
    pub(super) window: Option<i64>,
}

impl Sdpa {
    /// Heads are `[tokens, heads, size]`; the result is `[tokens, query_heads * value_size]`.
    pub(super) fn forward(
        &self,
        pass: &mut ForwardPass,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, TchError> {
        match pass {
            ForwardPass::Sequences(lengths) => self.sequences(lengths, None, queries, keys, values),
            ForwardPass::Fill(lengths, fill) => {
                self.sequences(lengths, Some(fill), queries, keys, values)
            }
            ForwardPass::Step(step) => self.step(step, queries, keys, values),
        }
    }

    /// Each sequence for itself.
    fn sequences(
        &self,
        lengths: &[i64],
        fill: Option<&Fill>,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, TchError> {
        let split = |tensor: &Tensor| tensor.f_split_with_sizes(lengths, 0);
        let (queries, keys, values) = (split(queries)?, split(keys)?, split(values)?);
        let mut attended = Vec::with_capacity(lengths.len());
        for (index, ((queries, keys), values)) in queries.iter().zip(&keys).zip(&values).enumerate()
        {
            // [heads, tokens, size]
            let (queries, keys, values) = (
                queries.f_transpose(0, 1)?,
                keys.f_transpose(0, 1)?,
                values.f_transpose(0, 1)?,
            );
            let earlier = match fill {
                Some(fill) => fill.append(index, self.slot, &keys, &values)?,
                None => None,
            };
            let (keys, values, mask) = match earlier {
                Some(([keys, values], mask)) => {
                    (keys, values, Some(mask.f_to_device(queries.device())?))
                }
                None => (keys, values, None),
            };
            let (tokens, all) = (queries.size()[1], keys.size()[1]);
            let window = match self.window {
                Some(window) if all > window => {
                    let places = Tensor::f_ones([tokens, all], (Kind::Bool, queries.device()))?;
                    let start = all - tokens;
                    Some(places.f_tril(start)?.f_triu(start + 1 - window)?)
                }
                _ => None,
            };
            let mask = window.or(mask);
            let result = match self.softcap {
                None => Tensor::f_scaled_dot_product_attention(
                    &queries.f_unsqueeze(0)?,
                    &keys.f_unsqueeze(0)?,
                    &values.f_unsqueeze(0)?,
                    mask.as_ref(),
                    0.0,
                    mask.is_none(),
                    self.scale,
                    self.query_heads != self.key_value_heads,
                )?
                .f_squeeze_dim(0)?,
                Some(cap) => {
                    let causal = match mask {
                        Some(mask) => mask,
                        None => Tensor::f_ones([tokens, all], (Kind::Bool, queries.device()))?
                            .f_tril(0)?,
                    };
                    let groups = [self.key_value_heads, -1, tokens, self.key_size];
                    let (queries, keys) = (queries.f_reshape(groups)?, keys.f_unsqueeze(1)?);
                    let values = values.f_unsqueeze(1)?;
                    let attended = self.capped(cap, [&queries, &keys, &values], Some(&causal))?;
                    attended.f_reshape([self.query_heads, tokens, self.value_size])?
                }
            };
            let result = result.f_transpose(0, 1)?;
            attended.push(result.f_reshape([-1, self.query_heads * self.value_size])?);
        }
        joined(attended)
    }

    /// One query per row and head.
    fn step(
        &self,
        step: &mut Step,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, TchError> {
        // The query heads of a group are the queries of their key and value head: no key or value
        // is repeated.
        let group = self.query_heads / self.key_value_heads;
        let queries = queries.f_reshape([-1, self.key_value_heads, group, self.key_size])?;
        let mut attended = Vec::with_capacity(step.segments());
        for segment in 0..step.segments() {
            let part = |tensor| step.part(segment, tensor);
            let (queries, keys, values) = (part(&queries)?, part(keys)?, part(values)?);
            let ([keys, values], mask) =
                step.append(segment, self.slot, self.window, [&keys, &values])?;
            attended.push(match self.softcap {
                None => Tensor::f_scaled_dot_product_attention(
                    &queries, &keys, &values, mask, 0.0, false, self.scale, false,
                )?,
                Some(cap) => self.capped(cap, [&queries, &keys, &values], mask.as_ref())?,
            });
        }
        joined(attended)?.f_reshape([-1, self.query_heads * self.value_size])
    }
}

impl Sdpa {
    /// Attention with capped logits, step by step as `eager_attention_forward` of `transformers`:
    /// the fused ones have no cap. Queries are `[..., queries, size]`, keys and values
    /// `[..., tokens, size]`; the mask is true, or 0, where a token is seen and false, or -inf,
    /// elsewhere.
    fn capped(
        &self,
        cap: f64,
        [queries, keys, values]: [&Tensor; 3],
        mask: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let scale = self.scale.unwrap_or((self.key_size as f64).powf(-0.5));
        let logits = queries.f_matmul(&keys.f_transpose(-2, -1)?)?;
        let logits = logits.f_mul_scalar(scale)?.f_div_scalar(cap)?;
        let logits = logits.f_tanh()?.f_mul_scalar(cap)?;
        let seen = match mask {
            None => logits,
            Some(mask) if mask.kind() == Kind::Bool => {
                logits.f_masked_fill(&mask.f_logical_not()?, f64::NEG_INFINITY)?
            }
            Some(mask) => logits.f_add(mask)?,
        };
        let weights = seen.f_softmax(-1, Kind::Float)?;
        weights.f_to_kind(queries.kind())?.f_matmul(values)
    }
}

/// One after another along the first dimension.
fn joined(mut parts: Vec<Tensor>) -> Result<Tensor, TchError> {
    match parts.len() {
        1 => Ok(parts.swap_remove(0)),
        _ => Tensor::f_cat(&parts, 0),
    }
}
