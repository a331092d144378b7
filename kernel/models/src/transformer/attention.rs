//! Grouped-query attention.

use tch::{Device, TchError, Tensor};

use super::linear::{Linear, LinearMap};
use super::rope::Rotation;
use super::{KeyValueCache, Pass};
use crate::adapter::Adapter;
use crate::checkpoint::Checkpoint;
use crate::{Configuration, ModelError};

/// Causal attention in which groups of query heads share a key and value head
/// (<https://arxiv.org/abs/2305.13245>).
pub(super) struct Attention {
    layer: usize,
    query_key_value: Linear,
    output: Linear,
    query_heads: i64,
    key_value_heads: i64,
    size: i64,
}

impl Attention {
    /// Reads the attention of `layer`, named `prefix`, such as `model.layers.0.self_attn`.
    pub(super) fn load(
        checkpoint: &dyn Checkpoint,
        configuration: &Configuration,
        layer: usize,
        prefix: &str,
        device: Device,
    ) -> Result<Self, ModelError> {
        let hidden = configuration.hidden_size;
        let query_heads = configuration.num_attention_heads;
        let key_value_heads = configuration.num_key_value_heads;
        let size = configuration.head_dim;
        let map = |name: &str, inputs, outputs| LinearMap {
            module: format!("{prefix}.{name}"),
            inputs,
            outputs,
        };
        let query_key_value = vec![
            map("q_proj", hidden, query_heads * size),
            map("k_proj", hidden, key_value_heads * size),
            map("v_proj", hidden, key_value_heads * size),
        ];
        let output = vec![map("o_proj", query_heads * size, hidden)];
        Ok(Self {
            layer,
            query_key_value: Linear::load(checkpoint, query_key_value, device)?,
            output: Linear::load(checkpoint, output, device)?,
            query_heads,
            key_value_heads,
            size,
        })
    }

    pub(super) fn linears(&self) -> [&Linear; 2] {
        [&self.query_key_value, &self.output]
    }

    /// `x`, and the result, are `[tokens, hidden]`.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        rotation: &Rotation,
        pass: &mut Pass,
        adapter: Option<&Adapter>,
    ) -> Result<Tensor, TchError> {
        let projected = self.query_key_value.forward(x, adapter)?;
        let [queries, keys, values] = projected.as_slice() else {
            unreachable!("query_key_value is loaded with three maps")
        };
        // [tokens, heads, size]
        let queries = rotation.apply(&queries.f_view([-1, self.query_heads, self.size])?)?;
        let keys = rotation.apply(&keys.f_view([-1, self.key_value_heads, self.size])?)?;
        let values = values.f_view([-1, self.key_value_heads, self.size])?;
        let attended = match pass {
            Pass::Sequences(lengths) => self.sequences(lengths, None, &queries, &keys, &values)?,
            Pass::Prefill(lengths, cache) => {
                self.sequences(lengths, Some(cache), &queries, &keys, &values)?
            }
            Pass::Decode(cache) => self.decode(cache, &queries, &keys, &values)?,
        };
        self.output.forward_one(&attended, adapter)
    }

    /// Each sequence for itself; returns `[tokens, heads * size]`.
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
                cache.write(self.layer, first_row + index as i64, &keys, &values)?;
            }
            let result = Tensor::f_scaled_dot_product_attention(
                &queries.f_unsqueeze(0)?,
                &keys.f_unsqueeze(0)?,
                &values.f_unsqueeze(0)?,
                None::<&Tensor>,
                0.0,
                true,
                None,
                self.query_heads != self.key_value_heads,
            )?;
            let result = result.f_squeeze_dim(0)?.f_transpose(0, 1)?;
            attended.push(result.f_reshape([-1, self.query_heads * self.size])?);
        }
        match attended.len() {
            1 => Ok(attended.swap_remove(0)),
            _ => Tensor::f_cat(&attended, 0),
        }
    }

    /// One query per row and head; returns `[rows, heads * size]`.
    fn decode(
        &self,
        cache: &mut KeyValueCache,
        queries: &Tensor,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Tensor, TchError> {
        let (keys, values, mask) = cache.append(self.layer, keys, values)?;
        // The query heads of a group are the queries of their key and value head: no key or value
        // is repeated.
        let group = self.query_heads / self.key_value_heads;
        let queries = queries.f_view([-1, self.key_value_heads, group, self.size])?;
        let attended = Tensor::f_scaled_dot_product_attention(
            &queries, &keys, &values, mask, 0.0, false, None, false,
        )?;
        attended.f_reshape([-1, self.query_heads * self.size])
    }
}
