//! Keys and values of the rows that are being generated.

use tch::{Device, Kind, TchError, Tensor};

use crate::Configuration;

/// One row per response in progress. Rows are dense: a finished row is replaced by the last one.
pub(crate) struct KeyValueCache {
    /// Keys and values of each layer: `[rows allocated, heads, capacity, size]`. Beyond a row's end
    /// they are masked but must be finite: a weight of 0 times NaN is NaN.
    layers: Vec<[Tensor; 2]>,
    /// Tokens in each row.
    lengths: Vec<i64>,
    /// Tokens that fit into a row.
    capacity: i64,
    /// Index tensors of the decoding step in progress.
    step: Option<Step>,
}

/// What all layers of one decoding step share.
struct Step {
    /// `[rows]`
    rows: Tensor,
    /// Where the new token of each row goes: `[rows]`.
    positions: Tensor,
    /// 0 where a row sees a token, -inf beyond its end, `[rows, 1, 1, longest]`; absent where
    /// all rows are equally long.
    mask: Option<Tensor>,
    /// Tokens of the longest row, the new one included.
    longest: i64,
}

impl KeyValueCache {
    /// A cache for at most `rows` rows of, to begin with, `capacity` tokens.
    pub(crate) fn new(
        configuration: &Configuration,
        rows: i64,
        capacity: i64,
        (kind, device): (Kind, Device),
    ) -> Result<Self, TchError> {
        let (heads, key_size, value_size) = configuration.cached_heads();
        let empty = |size| Tensor::f_zeros([rows, heads, capacity, size], (kind, device));
        let mut layers = Vec::new();
        for _ in 0..configuration.num_hidden_layers {
            layers.push([empty(key_size)?, empty(value_size)?]);
        }
        Ok(Self {
            layers,
            lengths: vec![],
            capacity,
            step: None,
        })
    }

    /// Tokens in each row.
    pub(crate) fn lengths(&self) -> &[i64] {
        &self.lengths
    }

    /// Makes room for `capacity` tokens in every row, and some more: growth is geometric.
    pub(crate) fn reserve(&mut self, capacity: i64) -> Result<(), TchError> {
        if capacity <= self.capacity {
            return Ok(());
        }
        let capacity = capacity.max(self.capacity + self.capacity / 2);
        let rows = self.lengths.len() as i64;
        let filled = self.lengths.iter().copied().max().unwrap_or(0);
        for tensor in self.layers.iter_mut().flatten() {
            let mut size = tensor.size();
            size[2] = capacity;
            let larger = Tensor::f_zeros(&size, (tensor.kind(), tensor.device()))?;
            part(&larger, rows, filled)?.f_copy_(&part(tensor, rows, filled)?)?;
            *tensor = larger;
        }
        self.capacity = capacity;
        Ok(())
    }

    /// Writes one sequence as row `row` of `layer`; keys and values are `[heads, tokens, size]`.
    pub(super) fn write(
        &mut self,
        layer: usize,
        row: i64,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(), TchError> {
        for (tensor, new) in self.layers[layer].iter().zip([keys, values]) {
            tensor
                .f_select(0, row)?
                .f_narrow(1, 0, new.size()[1])?
                .f_copy_(new)?;
        }
        Ok(())
    }

    /// Counts rows of these lengths, which every layer has written, as present.
    pub(super) fn push(&mut self, lengths: &[i64]) {
        self.lengths.extend_from_slice(lengths);
    }

    /// Begins a step in which every row gets one more token; returns the tokens' positions.
    pub(super) fn begin_step(&mut self, device: Device) -> Result<Tensor, TchError> {
        let rows = self.lengths.len() as i64;
        let positions = Tensor::f_from_slice(&self.lengths)?.f_to_device(device)?;
        let longest = self.lengths.iter().copied().max().unwrap_or(0) + 1;
        self.reserve(longest)?;
        let shortest = self.lengths.iter().copied().min().unwrap_or(0) + 1;
        let mask = if shortest == longest {
            None
        } else {
            let columns = Tensor::f_arange(longest, (Kind::Int64, device))?;
            let beyond = columns.f_gt_tensor(&positions.f_unsqueeze(1)?)?;
            let kind = self
                .layers
                .first()
                .map_or(Kind::Float, |[keys, _]| keys.kind());
            let mask = Tensor::f_zeros([rows, longest], (kind, device))?
                .f_masked_fill(&beyond, f64::NEG_INFINITY)?;
            Some(mask.f_view([rows, 1, 1, longest])?)
        };
        let step = Step {
            rows: Tensor::f_arange(rows, (Kind::Int64, device))?,
            positions: positions.shallow_clone(),
            mask,
            longest,
        };
        self.step = Some(step);
        Ok(positions)
    }

    /// Appends one token to every row of `layer`, `[rows, heads, size]`, and returns all keys and
    /// values, `[rows, heads, longest, size]`, with the mask of what lies beyond a row's end.
    pub(super) fn append(
        &mut self,
        layer: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor, Option<&Tensor>), TchError> {
        let Some(step) = &self.step else {
            return Err(TchError::Shape("no decoding step has begun".to_owned()));
        };
        let indices = [Some(&step.rows), None, Some(&step.positions)];
        let [all_keys, all_values] = &mut self.layers[layer];
        let _ = all_keys.f_index_put_(&indices, keys, false)?;
        let _ = all_values.f_index_put_(&indices, values, false)?;
        let rows = self.lengths.len() as i64;
        Ok((
            part(all_keys, rows, step.longest)?,
            part(all_values, rows, step.longest)?,
            step.mask.as_ref(),
        ))
    }

    /// Ends the step: every row is one token longer.
    pub(super) fn end_step(&mut self) {
        self.step = None;
        for length in &mut self.lengths {
            *length += 1;
        }
    }

    /// Removes a row; the last row takes its place.
    pub(crate) fn swap_remove(&mut self, row: usize) -> Result<(), TchError> {
        let last = self.lengths.len() - 1;
        if row != last {
            let length = self.lengths[last];
            for tensor in self.layers.iter().flatten() {
                let from = tensor.f_select(0, last as i64)?.f_narrow(1, 0, length)?;
                tensor
                    .f_select(0, row as i64)?
                    .f_narrow(1, 0, length)?
                    .f_copy_(&from)?;
            }
        }
        self.lengths.swap_remove(row);
        Ok(())
    }
}

/// The first `tokens` of the first `rows`.
fn part(tensor: &Tensor, rows: i64, tokens: i64) -> Result<Tensor, TchError> {
    tensor.f_narrow(0, 0, rows)?.f_narrow(2, 0, tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::RopeScaling;

    /// What an allocator gives for memory that held something else before.
    fn leave_nans_behind(size: [i64; 4]) {
        let tensors: Vec<Tensor> = (0..8)
            .map(|_| Tensor::full(size, f64::NAN, (Kind::Float, Device::Cpu)))
            .collect();
        drop(tensors);
    }

    #[test]
    fn memory_beyond_the_end_of_a_row_is_finite_also_after_growing() {
        let configuration = Configuration {
            model_type: "llama".to_owned(),
            vocab_size: 10,
            hidden_size: 32,
            intermediate_size: 32,
            num_hidden_layers: 2,
            num_attention_heads: 4,
            num_key_value_heads: 2,
            head_dim: 8,
            max_position_embeddings: 256,
            rms_norm_eps: 1e-5,
            rope_theta: 1e4,
            tie_word_embeddings: true,
            rope_scaling: RopeScaling::Default,
            attention_bias: false,
            mlp_bias: false,
            query_key_norm: false,
            latent: None,
            experts: None,
        };
        let heads = configuration.num_key_value_heads;
        let size = configuration.head_dim;
        let options = (Kind::Float, Device::Cpu);
        leave_nans_behind([2, heads, 64, size]);
        let mut cache = KeyValueCache::new(&configuration, 2, 64, options).unwrap();
        let finite = |cache: &KeyValueCache| {
            cache
                .layers
                .iter()
                .flatten()
                .all(|tensor| bool::try_from(tensor.isfinite().all()).unwrap())
        };
        assert!(finite(&cache));
        let sequence = Tensor::ones([heads, 3, size], options);
        for layer in 0..cache.layers.len() {
            cache.write(layer, 0, &sequence, &sequence).unwrap();
        }
        cache.push(&[3]);
        leave_nans_behind([2, heads, 128, size]);
        cache.reserve(128).unwrap();
        assert!(finite(&cache));
        assert_eq!(
            cache.layers[0][0].sum(Kind::Float).double_value(&[]),
            (heads * 3 * size) as f64
        );
    }
}
