//! Rows of the cache that have room for the same number of tokens.

use std::sync::Arc;

use tch::{Device, Kind, TchError, Tensor};

use crate::configuration::KvHeads;

/// What the cache keeps of one token in one layer, and where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CacheLayer {
    pub(crate) heads: KvHeads,
    pub(crate) kind: Kind,
    pub(crate) device: Device,
}

/// What the cache keeps of one token.
#[derive(Debug, Clone)]
pub(super) struct Layout(Arc<[CacheLayer]>);

/// Keys and values of some rows. Rows are dense: a removed row is replaced by the last one.
pub(super) struct Bucket {
    /// Tokens that fit into a row.
    pub(super) capacity: i64,
    /// Whose each row is.
    pub(super) owners: Vec<usize>,
    /// Tokens in each row.
    pub(super) lengths: Vec<i64>,
    /// Keys and values of each layer: `[rows with memory, heads, capacity, size]`. Beyond a row's
    /// end they are masked but must be finite: a weight of 0 times NaN is NaN.
    layers: Vec<[Tensor; 2]>,
    layout: Layout,
}

impl CacheLayer {
    /// Size of a key and of a value.
    fn sizes(&self) -> [i64; 2] {
        [self.heads.key_size, self.heads.value_size]
    }

    /// Zeros for as many rows: keys and values.
    fn empty(&self, rows: i64, capacity: i64) -> Result<[Tensor; 2], TchError> {
        let [keys, values] = self.sizes().map(|size| {
            let size = [rows, self.heads.heads, capacity, size];
            Tensor::f_zeros(size, (self.kind, self.device))
        });
        Ok([keys?, values?])
    }
}

impl Layout {
    pub(super) fn new(slots: &[CacheLayer]) -> Self {
        Self(slots.into())
    }

    /// Bytes of one token in all layers.
    pub(super) fn bytes_per_token(&self) -> u64 {
        let bytes = self.0.iter().map(|slot| {
            let numbers = slot.heads.heads * slot.sizes().iter().sum::<i64>();
            numbers as u64 * slot.kind.elt_size_in_bytes() as u64
        });
        bytes.sum()
    }
}

impl Bucket {
    /// No rows yet, and no memory.
    pub(super) fn new(layout: Layout, capacity: i64) -> Result<Self, TchError> {
        let mut layers = Vec::new();
        for slot in layout.0.iter() {
            layers.push(slot.empty(0, capacity)?);
        }
        Ok(Self {
            capacity,
            owners: vec![],
            lengths: vec![],
            layers,
            layout,
        })
    }

    /// Rows that have memory, in use or not.
    pub(super) fn allocated(&self) -> i64 {
        let rows = |tensor: &Tensor| tensor.size()[0];
        self.layers.iter().flatten().map(rows).min().unwrap_or(0)
    }

    pub(super) fn row_bytes(&self) -> u64 {
        self.capacity as u64 * self.layout.bytes_per_token()
    }

    /// Gives memory to exactly `rows` rows, at least those in use. Layer by layer, so that old and
    /// new memory are held together for one layer only; what fails half-way can be done again.
    pub(super) fn allocate(&mut self, rows: i64) -> Result<(), TchError> {
        let used = self.owners.len() as i64;
        let filled = self.lengths.iter().copied().max().unwrap_or(0);
        for (layer, slot) in self.layers.iter_mut().zip(self.layout.0.iter()) {
            let allocated = layer.iter().map(|tensor| tensor.size()[0]);
            if allocated.into_iter().all(|allocated| allocated == rows) {
                continue;
            }
            let new = slot.empty(rows, self.capacity)?;
            for (new, old) in new.iter().zip(layer.iter()) {
                part(new, used, filled)?.f_copy_(&part(old, used, filled)?)?;
            }
            *layer = new;
        }
        Ok(())
    }

    /// Adds an empty row, for which there must be memory.
    pub(super) fn push(&mut self, owner: usize) {
        self.owners.push(owner);
        self.lengths.push(0);
    }

    /// Removes a row; the last row takes its place.
    pub(super) fn swap_remove(&mut self, row: usize) -> Result<(), TchError> {
        let last = self.owners.len() - 1;
        if row != last {
            let length = self.lengths[last];
            for tensor in self.layers.iter().flatten() {
                tokens(tensor, row, length)?.f_copy_(&tokens(tensor, last, length)?)?;
            }
        }
        self.owners.swap_remove(row);
        self.lengths.swap_remove(row);
        Ok(())
    }

    /// Copies the first `length` tokens of `from` in `other`, or in this slab, over those of the
    /// last row.
    pub(super) fn copy_to_last(
        &mut self,
        other: Option<&Self>,
        from: usize,
        length: i64,
    ) -> Result<(), TchError> {
        let last = self.owners.len() - 1;
        let source = other.map_or(&self.layers, |other| &other.layers);
        for (to, source) in self.layers.iter().flatten().zip(source.iter().flatten()) {
            tokens(to, last, length)?.f_copy_(&tokens(source, from, length)?)?;
        }
        self.lengths[last] = length;
        Ok(())
    }

    /// Writes tokens of one layer into a row from `start` on; keys and values are
    /// `[heads, tokens, size]`.
    pub(super) fn write(
        &self,
        layer: usize,
        row: usize,
        start: i64,
        [keys, values]: [&Tensor; 2],
    ) -> Result<(), TchError> {
        for (tensor, new) in self.layers[layer].iter().zip([keys, values]) {
            tensor
                .f_select(0, row as i64)?
                .f_narrow(1, start, new.size()[1])?
                .f_copy_(new)?;
        }
        Ok(())
    }

    /// The first `length` keys and values of a row in one layer, `[heads, length, size]`.
    pub(super) fn read(
        &self,
        layer: usize,
        row: usize,
        length: i64,
    ) -> Result<[Tensor; 2], TchError> {
        let [keys, values] = &self.layers[layer];
        Ok([tokens(keys, row, length)?, tokens(values, row, length)?])
    }

    /// Writes one token of one layer into every row at `positions`, `[rows]`; keys and values are
    /// `[rows, heads, size]`. Returns the first `longest` keys and values of all rows,
    /// `[rows, heads, longest, size]`.
    pub(super) fn append(
        &mut self,
        layer: usize,
        [rows, positions]: [&Tensor; 2],
        longest: i64,
        [keys, values]: [&Tensor; 2],
    ) -> Result<[Tensor; 2], TchError> {
        let used = self.owners.len() as i64;
        let [all_keys, all_values] = &mut self.layers[layer];
        let device = all_keys.device();
        let (rows, positions) = (rows.f_to_device(device)?, positions.f_to_device(device)?);
        let indices = [Some(&rows), None, Some(&positions)];
        let _ = all_keys.f_index_put_(&indices, keys, false)?;
        let _ = all_values.f_index_put_(&indices, values, false)?;
        Ok([
            part(all_keys, used, longest)?,
            part(all_values, used, longest)?,
        ])
    }

    #[cfg(test)]
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.layers.iter().flatten()
    }
}

/// The first `tokens` of the first `rows`.
fn part(tensor: &Tensor, rows: i64, tokens: i64) -> Result<Tensor, TchError> {
    tensor.f_narrow(0, 0, rows)?.f_narrow(2, 0, tokens)
}

/// The first `length` tokens of one row, `[heads, length, size]`.
fn tokens(tensor: &Tensor, row: usize, length: i64) -> Result<Tensor, TchError> {
    tensor.f_select(0, row as i64)?.f_narrow(1, 0, length)
}
