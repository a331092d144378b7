//! Rows of the cache that have room for the same number of tokens.

use std::sync::Arc;

use tch::{Device, Kind, TchError, Tensor};

use crate::configuration::KvHeads;

/// The shape of one layer's keys and values in the cache, and where they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheLayer {
    pub(crate) kv_heads: KvHeads,
    pub(crate) kind: Kind,
    pub(crate) device: Device,
}

/// Keys and values of some sequences, one row each. Rows are dense: the last row takes the place of
/// a removed one.
pub(super) struct Bucket {
    /// Tokens that fit into a row.
    pub(super) capacity: i64,
    /// The sequence of each row.
    pub(super) sequences: Vec<usize>,
    /// Tokens in each row.
    pub(super) lengths: Vec<i64>,
    /// Keys and values of each layer: `[allocated rows, heads, capacity, size]`. Elements beyond the
    /// end of a row are masked, but must be finite: a weight of 0 times NaN is NaN.
    key_values: Vec<[Tensor; 2]>,
    layers: Arc<[CacheLayer]>,
}

impl CacheLayer {
    /// Bytes of the key and the value of one token.
    pub(super) fn bytes_per_token(&self) -> u64 {
        let elements = self.kv_heads.count * (self.kv_heads.key_dim + self.kv_heads.value_dim);
        elements as u64 * self.kind.elt_size_in_bytes() as u64
    }

    /// Zeroed keys and values, `[rows, heads, capacity, size]`.
    fn allocate(&self, rows: i64, capacity: i64) -> Result<[Tensor; 2], TchError> {
        let zeros = |size| {
            let shape = [rows, self.kv_heads.count, capacity, size];
            Tensor::f_zeros(shape, (self.kind, self.device))
        };
        let KvHeads {
            key_dim, value_dim, ..
        } = self.kv_heads;
        Ok([zeros(key_dim)?, zeros(value_dim)?])
    }
}

impl Bucket {
    /// A bucket without rows and without memory.
    pub(super) fn new(layers: Arc<[CacheLayer]>, capacity: i64) -> Result<Self, TchError> {
        let mut key_values = Vec::new();
        for layer in layers.iter() {
            key_values.push(layer.allocate(0, capacity)?);
        }
        Ok(Self {
            capacity,
            sequences: vec![],
            lengths: vec![],
            key_values,
            layers,
        })
    }

    /// Rows that have memory in every layer, in use or not.
    pub(super) fn allocated_rows(&self) -> i64 {
        let rows = |tensor: &Tensor| tensor.size()[0];
        let tensors = self.key_values.iter().flatten();
        tensors.map(rows).min().unwrap_or(0)
    }

    pub(super) fn bytes_per_row(&self) -> u64 {
        let layers = self.layers.iter();
        let bytes_per_token: u64 = layers.map(CacheLayer::bytes_per_token).sum();
        self.capacity as u64 * bytes_per_token
    }

    /// Gives memory to exactly `rows` rows, which must be at least those in use.
    ///
    /// Reallocates layer by layer, so that old and new memory exist at once for one layer only. If
    /// it fails half-way, it can be called again.
    pub(super) fn reallocate(&mut self, rows: i64) -> Result<(), TchError> {
        let used_rows = self.sequences.len() as i64;
        let longest = self.lengths.iter().copied().max().unwrap_or(0);
        for (key_values, layer) in self.key_values.iter_mut().zip(self.layers.iter()) {
            if key_values.iter().all(|tensor| tensor.size()[0] == rows) {
                continue;
            }
            let new = layer.allocate(rows, self.capacity)?;
            for (new, old) in new.iter().zip(key_values.iter()) {
                first_tokens(new, used_rows, longest)?
                    .f_copy_(&first_tokens(old, used_rows, longest)?)?;
            }
            *key_values = new;
        }
        Ok(())
    }

    /// Adds an empty row, for which there must be memory.
    pub(super) fn push(&mut self, sequence: usize) {
        self.sequences.push(sequence);
        self.lengths.push(0);
    }

    /// Removes a row; the last row takes its place.
    pub(super) fn swap_remove(&mut self, row: usize) -> Result<(), TchError> {
        let last = self.sequences.len() - 1;
        if row != last {
            let length = self.lengths[last];
            for tensor in self.key_values.iter().flatten() {
                row_tokens(tensor, row, length)?.f_copy_(&row_tokens(tensor, last, length)?)?;
            }
        }
        self.sequences.swap_remove(row);
        self.lengths.swap_remove(row);
        Ok(())
    }

    /// Copies the first `length` tokens of the row `from`, of `other` or of this bucket, to the last
    /// row.
    pub(super) fn copy_to_last(
        &mut self,
        other: Option<&Self>,
        from: usize,
        length: i64,
    ) -> Result<(), TchError> {
        let last = self.sequences.len() - 1;
        let source = other.map_or(&self.key_values, |other| &other.key_values);
        let pairs = self
            .key_values
            .iter()
            .flatten()
            .zip(source.iter().flatten());
        for (target, source) in pairs {
            row_tokens(target, last, length)?.f_copy_(&row_tokens(source, from, length)?)?;
        }
        self.lengths[last] = length;
        Ok(())
    }

    /// Writes keys and values, `[heads, tokens, size]`, of one layer to a row from token `start` on.
    pub(super) fn write(
        &self,
        layer: usize,
        row: usize,
        start: i64,
        [keys, values]: [&Tensor; 2],
    ) -> Result<(), TchError> {
        for (tensor, new) in self.key_values[layer].iter().zip([keys, values]) {
            tensor
                .f_select(0, row as i64)?
                .f_narrow(1, start, new.size()[1])?
                .f_copy_(new)?;
        }
        Ok(())
    }

    /// The first `length` keys and values of a row in one layer: `[heads, length, size]`.
    pub(super) fn read(
        &self,
        layer: usize,
        row: usize,
        length: i64,
    ) -> Result<[Tensor; 2], TchError> {
        let [keys, values] = &self.key_values[layer];
        Ok([
            row_tokens(keys, row, length)?,
            row_tokens(values, row, length)?,
        ])
    }

    /// Writes keys and values, `[rows, heads, size]`, of one token in one layer to `rows` at
    /// `positions`, both `[rows]`.
    ///
    /// Returns the first `longest` keys and values of all rows: `[rows, heads, longest, size]`.
    pub(super) fn append(
        &mut self,
        layer: usize,
        [rows, positions]: [&Tensor; 2],
        longest: i64,
        [new_keys, new_values]: [&Tensor; 2],
    ) -> Result<[Tensor; 2], TchError> {
        let used_rows = self.sequences.len() as i64;
        let [keys, values] = &mut self.key_values[layer];
        let device = keys.device();
        let (rows, positions) = (rows.f_to_device(device)?, positions.f_to_device(device)?);
        let indices = [Some(&rows), None, Some(&positions)];
        let _ = keys.f_index_put_(&indices, new_keys, false)?;
        let _ = values.f_index_put_(&indices, new_values, false)?;
        Ok([
            first_tokens(keys, used_rows, longest)?,
            first_tokens(values, used_rows, longest)?,
        ])
    }

    #[cfg(test)]
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.key_values.iter().flatten()
    }
}

/// The first `tokens` tokens of the first `rows` rows: `[rows, heads, tokens, size]`.
fn first_tokens(tensor: &Tensor, rows: i64, tokens: i64) -> Result<Tensor, TchError> {
    tensor.f_narrow(0, 0, rows)?.f_narrow(2, 0, tokens)
}

/// The first `length` tokens of one row: `[heads, length, size]`.
fn row_tokens(tensor: &Tensor, row: usize, length: i64) -> Result<Tensor, TchError> {
    tensor.f_select(0, row as i64)?.f_narrow(1, 0, length)
}
