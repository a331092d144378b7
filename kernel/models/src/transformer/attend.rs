//! Causal attention of projected queries, keys and values, with or without a cache.

use tch::{TchError, Tensor};

use super::pass::{Fill, Pass, Step};

/// What the kinds of attention have in common once heads are projected and rotated.
pub(super) struct Attend {
    pub(super) layer: usize,
    pub(super) query_heads: i64,
    /// A divisor of the query heads.
    pub(super) key_value_heads: i64,
    /// Numbers of a query or key head.
    pub(super) key_size: i64,
    /// Numbers of a value head.
    pub(super) value_size: i64,
    /// Factor of the logits; `1 / sqrt(key_size)` where absent.
    pub(super) scale: Option<f64>,
}

impl Attend {
    /// Heads are `[tokens, heads, size]`; the result is `[tokens, query_heads * value_size]`.
    pub(super) fn forward(
        &self,
        pass: &mut Pass,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, TchError> {
        match pass {
            Pass::Sequences(lengths) => self.sequences(lengths, None, queries, keys, values),
            Pass::Fill(lengths, fill) => self.sequences(lengths, Some(fill), queries, keys, values),
            Pass::Step(step) => self.step(step, queries, keys, values),
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
                Some(fill) => fill.append(index, self.layer, &keys, &values)?,
                None => None,
            };
            let (keys, values, mask) = match earlier {
                Some(([keys, values], mask)) => (keys, values, Some(mask)),
                None => (keys, values, None),
            };
            let result = Tensor::f_scaled_dot_product_attention(
                &queries.f_unsqueeze(0)?,
                &keys.f_unsqueeze(0)?,
                &values.f_unsqueeze(0)?,
                mask,
                0.0,
                mask.is_none(),
                self.scale,
                self.query_heads != self.key_value_heads,
            )?;
            let result = result.f_squeeze_dim(0)?.f_transpose(0, 1)?;
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
            let ([keys, values], mask) = step.append(segment, self.layer, &keys, &values)?;
            attended.push(Tensor::f_scaled_dot_product_attention(
                &queries, &keys, &values, mask, 0.0, false, self.scale, false,
            )?);
        }
        joined(attended)?.f_reshape([-1, self.query_heads * self.value_size])
    }
}

/// One after another along the first dimension.
fn joined(mut parts: Vec<Tensor>) -> Result<Tensor, TchError> {
    match parts.len() {
        1 => Ok(parts.swap_remove(0)),
        _ => Tensor::f_cat(&parts, 0),
    }
}
