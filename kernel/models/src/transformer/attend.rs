//! Causal attention of projected queries, keys and values, with or without a cache.

use tch::{Kind, TchError, Tensor};

use super::{KeyValueCache, Pass};

/// What the kinds of attention have in common once heads are projected and rotated.
pub(super) struct Attend {
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
    /// Tokens that a token sees, itself included; all where absent.
    pub(super) window: Option<i64>,
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
            Pass::Prefill(lengths, cache) => {
                self.sequences(lengths, Some(cache), queries, keys, values)
            }
            Pass::Decode(cache) => self.decode(cache, queries, keys, values),
        }
    }

    /// Each sequence for itself.
    fn sequences(
        &self,
        lengths: &[i64],
        mut cache: Option<&mut KeyValueCache>,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, TchError> {
        let split = |tensor: &Tensor| tensor.f_split_with_sizes(lengths, 0);
        let (queries, keys, values) = (split(queries)?, split(keys)?, split(values)?);
        let first_row = cache
            .as_ref()
            .map_or(0, |cache| cache.lengths().len() as i64);
        let mut attended = Vec::with_capacity(lengths.len());
        for (index, ((queries, keys), values)) in queries.iter().zip(&keys).zip(&values).enumerate()
        {
            // [heads, tokens, size]
            let (queries, keys, values) = (
                queries.f_transpose(0, 1)?,
                keys.f_transpose(0, 1)?,
                values.f_transpose(0, 1)?,
            );
            if let Some(cache) = &mut cache {
                cache.write(self.slot, first_row + index as i64, &keys, &values)?;
            }
            let mask = match self.window {
                Some(window) if lengths[index] > window => {
                    let all = Tensor::f_ones([lengths[index]; 2], (Kind::Bool, queries.device()))?;
                    Some(all.f_tril(0)?.f_triu(1 - window)?)
                }
                _ => None,
            };
            let result = Tensor::f_scaled_dot_product_attention(
                &queries.f_unsqueeze(0)?,
                &keys.f_unsqueeze(0)?,
                &values.f_unsqueeze(0)?,
                mask.as_ref(),
                0.0,
                mask.is_none(),
                self.scale,
                self.query_heads != self.key_value_heads,
            )?;
            let result = result.f_squeeze_dim(0)?.f_transpose(0, 1)?;
            attended.push(result.f_reshape([-1, self.query_heads * self.value_size])?);
        }
        match attended.len() {
            1 => Ok(attended.swap_remove(0)),
            _ => Tensor::f_cat(&attended, 0),
        }
    }

    /// One query per row and head.
    fn decode(
        &self,
        cache: &mut KeyValueCache,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, TchError> {
        let (keys, values, mask) = cache.append(self.slot, keys, values)?;
        // The query heads of a group are the queries of their key and value head: no key or value
        // is repeated.
        let group = self.query_heads / self.key_value_heads;
        let queries = queries.f_reshape([-1, self.key_value_heads, group, self.key_size])?;
        let attended = Tensor::f_scaled_dot_product_attention(
            &queries, &keys, &values, mask, 0.0, false, self.scale, false,
        )?;
        attended.f_reshape([-1, self.query_heads * self.value_size])
    }
}
