//! Keys and values of the rows that are being generated.
//!
//! A row has room for 256 tokens, or 512, or 1024, and so on; the rows of one size lie together in
//! one slab, and a row that is full moves to the next slab. So a short row neither takes the memory
//! of the longest nor is attended over its length, while attention stays one call for each slab.
//! Memory is taken as rows come and never beyond a limit.

use tch::TchError;

use super::kv_bucket::{Bucket, CacheLayer, Layout};

/// Tokens that fit into the shortest rows.
const SHORTEST: usize = 256;

/// One row for each response in progress, known by its owner's number.
pub(crate) struct KvCache {
    layout: Layout,
    /// Shortest rows first.
    pub(super) slabs: Vec<Bucket>,
    /// Bytes that may be allocated.
    limit: u64,
}

/// Why there is no room in the cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    /// The limit of the cache is reached.
    #[error("the cache may take {limit} bytes, {needed} are needed")]
    Full { needed: u64, limit: u64 },
    /// libtorch refused, perhaps because the device's memory is full.
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowLocation {
    pub(super) slab: usize,
    pub(super) row: usize,
}

impl KvCache {
    /// An empty cache that takes at most `limit` bytes.
    pub(crate) fn new(slots: &[CacheLayer], limit: u64) -> Self {
        Self {
            layout: Layout::new(slots),
            slabs: vec![],
            limit,
        }
    }

    /// Tokens for which a row that must hold `tokens` has room.
    pub(crate) fn row_capacity(tokens: usize) -> usize {
        tokens.max(SHORTEST).next_power_of_two()
    }

    /// Bytes of one token of one row.
    pub(crate) fn bytes_per_token(&self) -> u64 {
        self.layout.bytes_per_token()
    }

    /// Bytes that the rows may take together.
    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit
    }

    /// The owners of all rows, in the order in which a step takes them.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = usize> {
        self.slabs
            .iter()
            .flat_map(|slab| slab.owners.iter().copied())
    }

    /// Tokens in a row, if there is such a row.
    pub(crate) fn length(&self, owner: usize) -> Option<usize> {
        let place = self.place(owner)?;
        Some(self.slabs[place.slab].lengths[place.row] as usize)
    }

    /// Makes an empty row with room for `tokens`.
    pub(crate) fn insert(&mut self, owner: usize, tokens: usize) -> Result<(), CacheError> {
        let slab = self.reserve(Self::row_capacity(tokens) as i64, 1)?;
        self.slabs[slab].push(owner);
        Ok(())
    }

    /// Makes a row with room for `tokens` that begins with the first `shared` of another row.
    pub(crate) fn fork(
        &mut self,
        from: usize,
        owner: usize,
        shared: usize,
        tokens: usize,
    ) -> Result<(), CacheError> {
        self.insert(owner, tokens)?;
        if let (Some(source), Some(to)) = (self.place(from), self.place(owner)) {
            self.copy(source, to.slab, shared as i64)?;
        }
        Ok(())
    }

    /// Gives a row with room for exactly as much as `tokens` need to another owner, who goes on
    /// after the first `shared`; whether there is such a row.
    pub(crate) fn reuse(
        &mut self,
        from: usize,
        owner: usize,
        shared: usize,
        tokens: usize,
    ) -> bool {
        let Some(RowLocation { slab, row }) = self.place(from) else {
            return false;
        };
        let slab = &mut self.slabs[slab];
        if slab.capacity as usize != Self::row_capacity(tokens) {
            return false;
        }
        slab.owners[row] = owner;
        slab.lengths[row] = shared as i64;
        true
    }

    /// Forgets what a row has beyond `length` tokens, if it is there.
    pub(crate) fn truncate(&mut self, owner: usize, length: usize) {
        if let Some(RowLocation { slab, row }) = self.place(owner) {
            let present = &mut self.slabs[slab].lengths[row];
            *present = (*present).min(length as i64);
        }
    }

    /// Removes all rows and gives their memory back.
    pub(crate) fn clear(&mut self) {
        self.slabs.clear();
    }

    /// Removes a row, if it is there.
    pub(crate) fn remove(&mut self, owner: usize) -> Result<(), TchError> {
        if let Some(place) = self.place(owner) {
            self.slabs[place.slab].swap_remove(place.row)?;
            self.slabs.retain(|slab| !slab.owners.is_empty());
        }
        Ok(())
    }

    /// Moves full rows to longer ones, so that every row has room for one more token.
    pub(crate) fn grow_full_rows(&mut self) -> Result<(), CacheError> {
        // A reservation that failed leaves an empty slab.
        self.slabs.retain(|slab| !slab.owners.is_empty());
        let capacities: Vec<i64> = self.slabs.iter().map(|slab| slab.capacity).collect();
        for capacity in capacities {
            let full: Vec<usize> = match self.slabs.iter().find(|s| s.capacity == capacity) {
                None => continue,
                Some(slab) => std::iter::zip(&slab.owners, &slab.lengths)
                    .filter(|&(_, &length)| length == capacity)
                    .map(|(&owner, _)| owner)
                    .collect(),
            };
            if full.is_empty() {
                continue;
            }
            self.reserve(capacity * 2, full.len() as i64)?;
            for owner in full {
                // Both slabs may have moved in the list since the last row.
                let to = self.reserve(capacity * 2, 1)?;
                let Some(from) = self.place(owner) else {
                    continue;
                };
                self.slabs[to].push(owner);
                let copied = self.copy(from, to, capacity);
                if copied.is_err() {
                    self.slabs[to].owners.pop();
                    self.slabs[to].lengths.pop();
                }
                copied?;
                self.slabs[from.slab].swap_remove(from.row)?;
            }
            self.slabs.retain(|slab| !slab.owners.is_empty());
        }
        Ok(())
    }

    /// Where the row of `owner` is; of several, the one in the shortest slab.
    pub(super) fn place(&self, owner: usize) -> Option<RowLocation> {
        self.slabs.iter().enumerate().find_map(|(slab, rows)| {
            let row = rows.owners.iter().position(|&other| other == owner)?;
            Some(RowLocation { slab, row })
        })
    }

    /// Sees to memory for `more` rows of this capacity; returns the index of their slab.
    fn reserve(&mut self, capacity: i64, more: i64) -> Result<usize, CacheError> {
        let found = self
            .slabs
            .binary_search_by_key(&capacity, |slab| slab.capacity);
        let index = match found {
            Ok(index) => index,
            Err(index) => {
                self.slabs
                    .insert(index, Bucket::new(self.layout.clone(), capacity)?);
                index
            }
        };
        let slab = &self.slabs[index];
        let (allocated, needed) = (slab.allocated(), slab.owners.len() as i64 + more);
        if needed <= allocated {
            return Ok(index);
        }
        // Growth is geometric where there is room for it.
        let generous = needed.max(allocated * 2);
        if self.bytes_with(index, generous) <= self.limit {
            self.slabs[index].allocate(generous)?;
            return Ok(index);
        }
        if self.bytes_with(index, needed) > self.limit {
            for slab in &mut self.slabs {
                slab.allocate(slab.owners.len() as i64)?;
            }
        }
        let bytes = self.bytes_with(index, needed);
        if bytes > self.limit {
            let limit = self.limit;
            return Err(CacheError::Full {
                needed: bytes,
                limit,
            });
        }
        self.slabs[index].allocate(needed)?;
        Ok(index)
    }

    /// Bytes of all slabs if that at `index` had memory for `rows` rows.
    fn bytes_with(&self, index: usize, rows: i64) -> u64 {
        let slabs = self.slabs.iter().enumerate();
        let bytes = slabs.map(|(other, slab)| {
            let rows = if other == index {
                rows
            } else {
                slab.allocated()
            };
            rows as u64 * slab.row_bytes()
        });
        bytes.sum()
    }

    /// Copies the beginning of a row to the last row of the slab `to`.
    fn copy(&mut self, from: RowLocation, to: usize, length: i64) -> Result<(), TchError> {
        if from.slab == to {
            return self.slabs[to].copy_to_last(None, from.row, length);
        }
        let (shorter, longer) = self.slabs.split_at_mut(from.slab.max(to));
        let (source, target) = match from.slab < to {
            true => (&shorter[from.slab], &mut longer[0]),
            false => (&longer[0], &mut shorter[to]),
        };
        target.copy_to_last(Some(source), from.row, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::KvHeads;
    use tch::{Device, Kind, Tensor};

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn cache(limit: u64) -> KvCache {
        let heads = KvHeads {
            heads: 2,
            key_size: 8,
            value_size: 8,
        };
        let (kind, device) = OPTIONS;
        let slot = CacheLayer {
            heads,
            kind,
            device,
        };
        KvCache::new(&[slot; 2], limit)
    }

    /// Bytes of a row for 256 tokens: 2 layers, 2 heads, 8 numbers of key and of value.
    const ROW: u64 = 256 * 2 * 2 * (8 + 8) * 4;

    /// Writes `value` as all keys and values of a row of `length` tokens.
    fn fill(cache: &mut KvCache, owner: usize, length: i64, value: f64) {
        let RowLocation { slab, row } = cache.place(owner).unwrap();
        let sequence = Tensor::full([2, length, 8], value, OPTIONS);
        for layer in 0..2 {
            cache.slabs[slab]
                .write(layer, row, 0, [&sequence, &sequence])
                .unwrap();
        }
        cache.slabs[slab].lengths[row] = length;
    }

    /// Asserts that the row has `length` tokens, all of `value`.
    fn assert_row(cache: &KvCache, owner: usize, length: usize, value: f64) {
        assert_eq!(cache.length(owner), Some(length));
        let RowLocation { slab, row } = cache.place(owner).unwrap();
        for layer in 0..2 {
            for tensor in cache.slabs[slab].read(layer, row, length as i64).unwrap() {
                assert!(
                    bool::try_from(tensor.eq(value).all()).unwrap(),
                    "row of {owner}"
                );
            }
        }
    }

    fn allocated(cache: &KvCache) -> u64 {
        cache.bytes_with(usize::MAX, 0)
    }

    /// What an allocator gives for memory that held something else before.
    fn leave_nans_behind(size: [i64; 4]) {
        let tensors: Vec<Tensor> = (0..8)
            .map(|_| Tensor::full(size, f64::NAN, OPTIONS))
            .collect();
        drop(tensors);
    }

    #[test]
    fn memory_beyond_the_end_of_a_row_is_finite_also_after_growing() {
        let finite = |cache: &KvCache| {
            let mut tensors = cache.slabs.iter().flat_map(Bucket::tensors);
            tensors.all(|tensor| bool::try_from(tensor.isfinite().all()).unwrap())
        };
        leave_nans_behind([1, 2, 256, 8]);
        let mut cache = cache(u64::MAX);
        cache.insert(7, 3).unwrap();
        fill(&mut cache, 7, 256, 2.0);
        leave_nans_behind([1, 2, 512, 8]);
        cache.grow_full_rows().unwrap();
        assert!(finite(&cache));
        assert_eq!(cache.slabs[0].capacity, 512);
        assert_row(&cache, 7, 256, 2.0);
    }

    #[test]
    fn rows_keep_their_tokens_whatever_happens_to_others() {
        let mut cache = cache(u64::MAX);
        for owner in 0..5 {
            cache.insert(owner, 300).unwrap();
            fill(&mut cache, owner, 300 + owner as i64, owner as f64);
        }
        cache.remove(1).unwrap();
        cache.insert(8, 10).unwrap();
        fill(&mut cache, 8, 256, 8.0);
        cache.fork(2, 9, 200, 210).unwrap();
        cache.grow_full_rows().unwrap();
        assert!(cache.reuse(3, 10, 150, 500));
        assert!(!cache.reuse(4, 11, 150, 200), "a shorter row would do");
        for (owner, length, value) in [(0, 300, 0.0), (2, 302, 2.0), (4, 304, 4.0)] {
            assert_row(&cache, owner, length, value);
        }
        for (owner, length, value) in [(8, 256, 8.0), (9, 200, 2.0), (10, 150, 3.0)] {
            assert_row(&cache, owner, length, value);
        }
        let capacity = |owner| cache.slabs[cache.place(owner).unwrap().slab].capacity;
        assert_eq!([8, 9, 10].map(capacity), [512, 256, 512]);
        assert_eq!((cache.length(1), cache.length(3)), (None, None));
        assert_eq!(cache.sequences().count(), 6);
    }

    #[test]
    fn the_limit_is_kept_and_spare_memory_is_given_up_for_it() {
        let mut cache = cache(5 * ROW);
        for owner in 0..3 {
            cache.insert(owner, 1).unwrap();
            fill(&mut cache, owner, 2, owner as f64);
        }
        assert_eq!(allocated(&cache), 4 * ROW, "growth doubles");
        cache.insert(3, 257).unwrap();
        assert_eq!(allocated(&cache), 5 * ROW, "the spare row is gone");
        let error = cache.insert(4, 1).unwrap_err();
        assert!(
            matches!(error, CacheError::Full { needed, limit } if needed == 6 * ROW && limit == 5 * ROW),
            "{error}"
        );
        cache.remove(3).unwrap();
        cache.insert(4, 1).unwrap();
        assert_row(&cache, 2, 2, 2.0);
    }
}
