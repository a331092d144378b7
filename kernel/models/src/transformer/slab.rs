//! Rows of the cache that have room for the same number of tokens.

use tch::{Device, Kind, TchError, Tensor};

use crate::Configuration;

/// What the cache keeps of one token, and where.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) layers: i64,
    pub(super) heads: i64,
    /// Numbers of a key and of a value.
    pub(super) sizes: [i64; 2],
    pub(super) kind: Kind,
    pub(super) device: Device,
}

/// Keys and values of some rows. Rows are dense: a removed row is replaced by the last one.
pub(super) struct Slab {
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

impl Layout {
    pub(super) fn new(configuration: &Configuration, kind: Kind, device: Device) -> Self {
        let (heads, key, value) = configuration.cached_heads();
        Self {
            layers: configuration.num_hidden_layers,
            heads,
            sizes: [key, value],
            kind,
            device,
        }
    }

    /// Bytes of one token in all layers.
    pub(super) fn token_bytes(&self) -> u64 {
        let numbers = self.layers * self.heads * (self.sizes[0] + self.sizes[1]);
        numbers as u64 * self.kind.elt_size_in_bytes() as u64
    }
}

impl Slab {
    /// No rows yet, and no memory.
    pub(super) fn new(layout: Layout, capacity: i64) -> Result<Self, TchError> {
        let mut layers = Vec::new();
        for _ in 0..layout.layers {
            layers.push([
                empty(&layout, 0, capacity, 0)?,
                empty(&layout, 0, capacity, 1)?,
            ]);
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
        self.capacity as u64 * self.layout.token_bytes()
    }

    /// Gives memory to exactly `rows` rows, at least those in use. Layer by layer, so that old and
    /// new memory are held together for one layer only; what fails half-way can be done again.
    pub(super) fn allocate(&mut self, rows: i64) -> Result<(), TchError> {
        let used = self.owners.len() as i64;
        let filled = self.lengths.iter().copied().max().unwrap_or(0);
        for layer in &mut self.layers {
            for (index, tensor) in layer.iter_mut().enumerate() {
                if tensor.size()[0] == rows {
                    continue;
                }
                let new = empty(&self.layout, rows, self.capacity, index)?;
                part(&new, used, filled)?.f_copy_(&part(tensor, used, filled)?)?;
                *tensor = new;
            }
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
        let indices = [Some(rows), None, Some(positions)];
        let used = self.owners.len() as i64;
        let [all_keys, all_values] = &mut self.layers[layer];
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

/// Zeros for the keys (0) or values (1) of one layer.
fn empty(layout: &Layout, rows: i64, capacity: i64, index: usize) -> Result<Tensor, TchError> {
    let size = [rows, layout.heads, capacity, layout.sizes[index]];
    Tensor::f_zeros(size, (layout.kind, layout.device))
}

/// The first `tokens` of the first `rows`.
fn part(tensor: &Tensor, rows: i64, tokens: i64) -> Result<Tensor, TchError> {
    tensor.f_narrow(0, 0, rows)?.f_narrow(2, 0, tokens)
}

/// The first `length` tokens of one row, `[heads, length, size]`.
fn tokens(tensor: &Tensor, row: usize, length: i64) -> Result<Tensor, TchError> {
    tensor.f_select(0, row as i64)?.f_narrow(1, 0, length)
}
