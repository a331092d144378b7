//! Keys and values of the rows that are being generated.

use tch::{Device, Kind, TchError, Tensor};

use crate::configuration::CachedHeads;

/// One layer's part of a cache: what its keys and values look like, and where they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheSlot {
    pub(crate) heads: CachedHeads,
    /// Tokens that the layer's queries see, the last one included; all where absent.
    pub(crate) window: Option<i64>,
    pub(crate) kind: Kind,
    pub(crate) device: Device,
}

/// One row per response in progress. Rows are dense: a finished row is replaced by the last one.
pub(crate) struct KeyValueCache {
    slots: Vec<CacheSlot>,
    /// Keys and values of each slot: `[rows allocated, heads, capacity, size]`. Beyond a row's end
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
    /// Tokens of the shortest and the longest row, the new one included.
    shortest: i64,
    longest: i64,
    /// The masks that have been needed so far: by window, and where.
    masks: Vec<(Option<i64>, Device, Tensor)>,
}

impl KeyValueCache {
    /// A cache for at most `rows` rows of, to begin with, `capacity` tokens.
    pub(crate) fn new(
        slots: Vec<CacheSlot>,
        rows: i64,
        capacity: i64,
    ) -> Result<Self, TchError> {
        let mut layers = Vec::new();
        for slot in &slots {
            let empty = |size| {
                let shape = [rows, slot.heads.heads, capacity, size];
                Tensor::f_zeros(shape, (slot.kind, slot.device))
            };
            layers.push([empty(slot.heads.key_size)?, empty(slot.heads.value_size)?]);
        }
        Ok(Self {
            slots,
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
        self.step = Some(Step {
            rows: Tensor::f_arange(rows, (Kind::Int64, device))?,
            positions: positions.shallow_clone(),
            shortest,
            longest,
            masks: vec![],
        });
        Ok(positions)
    }

    /// Appends one token to every row of a layer, `[rows, heads, size]`, and returns all keys and
    /// values that a row may see, `[rows, heads, tokens, size]`, with the mask of those that not
    /// all rows see.
    pub(super) fn append(
        &mut self,
        slot: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor, Option<&Tensor>), TchError> {
        let Some(step) = &mut self.step else {
            return Err(TchError::Shape("no decoding step has begun".to_owned()));
        };
        let CacheSlot {
            window,
            kind,
            device,
            ..
        } = self.slots[slot];
        let rows = step.rows.f_to_device(device)?;
        let positions = step.positions.f_to_device(device)?;
        let indices = [Some(&rows), None, Some(&positions)];
        let [all_keys, all_values] = &mut self.layers[slot];
        let _ = all_keys.f_index_put_(&indices, keys, false)?;
        let _ = all_values.f_index_put_(&indices, values, false)?;
        let count = rows.size1()?;
        // What is before the window of the shortest row is in nobody's.
        let first = window.map_or(0, |window| (step.shortest - window).max(0));
        let seen = |tensor: &Tensor| {
            let rows = tensor.f_narrow(0, 0, count)?;
            rows.f_narrow(2, first, step.longest - first)
        };
        let (keys, values) = (seen(all_keys)?, seen(all_values)?);
        Ok((keys, values, step.mask(window, first, (kind, device))?))
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

impl Step {
    /// 0 where a row sees a token and -inf elsewhere, `[rows, 1, 1, tokens]`, for tokens from
    /// `first` on; `None` where every row sees them all.
    fn mask(
        &mut self,
        window: Option<i64>,
        first: i64,
        (kind, device): (Kind, Device),
    ) -> Result<Option<&Tensor>, TchError> {
        if self.shortest == self.longest {
            return Ok(None);
        }
        let known = |mask: &(Option<i64>, Device, Tensor)| mask.0 == window && mask.1 == device;
        let index = match self.masks.iter().position(known) {
            Some(index) => index,
            None => {
                let options = (Kind::Int64, device);
                let columns = Tensor::f_arange_start(first, self.longest, options)?;
                let positions = self.positions.f_to_device(device)?.f_unsqueeze(1)?;
                let mut hidden = columns.f_gt_tensor(&positions)?;
                if let Some(window) = window {
                    let left_behind = columns.f_le_tensor(&positions.f_sub_scalar(window)?)?;
                    hidden = hidden.f_logical_or(&left_behind)?;
                }
                let mask = Tensor::f_zeros(hidden.size(), (kind, device))?
                    .f_masked_fill(&hidden, f64::NEG_INFINITY)?
                    .f_unsqueeze(1)?
                    .f_unsqueeze(1)?;
                self.masks.push((window, device, mask));
                self.masks.len() - 1
            }
        };
        Ok(Some(&self.masks[index].2))
    }
}

/// The first `tokens` of the first `rows`.
fn part(tensor: &Tensor, rows: i64, tokens: i64) -> Result<Tensor, TchError> {
    tensor.f_narrow(0, 0, rows)?.f_narrow(2, 0, tokens)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(heads: i64, size: i64, window: Option<i64>) -> CacheSlot {
        CacheSlot {
            heads: CachedHeads {
                heads,
                key_size: size,
                value_size: size,
            },
            window,
            kind: Kind::Float,
            device: Device::Cpu,
        }
    }

    /// What an allocator gives for memory that held something else before.
    fn leave_nans_behind(size: [i64; 4]) {
        let tensors: Vec<Tensor> = (0..8)
            .map(|_| Tensor::full(size, f64::NAN, (Kind::Float, Device::Cpu)))
            .collect();
        drop(tensors);
    }

    #[test]
    fn memory_beyond_the_end_of_a_row_is_finite_also_after_growing() {
        let (heads, size) = (2, 8);
        let options = (Kind::Float, Device::Cpu);
        leave_nans_behind([2, heads, 64, size]);
        let mut cache = KeyValueCache::new(vec![slot(heads, size, None); 2], 2, 64).unwrap();
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
