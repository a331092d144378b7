//! Keys and values of the sequences that are being generated.
//!
//! Each sequence has a row with room for 256, 512, 1024, ... tokens. Rows of one capacity lie
//! together in a bucket, and a full row moves to the bucket of the next capacity. A short sequence
//! therefore neither takes the memory of the longest one nor is attended to over its length, while
//! attention remains one call per bucket. Memory is allocated as rows are added, up to a limit.

use std::sync::Arc;

use tch::TchError;

use super::kv_bucket::{Bucket, CacheLayer};

/// Tokens that fit into the shortest rows.
const MIN_ROW_CAPACITY: usize = 256;

/// The key-value cache. The caller identifies a sequence by a number.
pub(crate) struct KvCache {
    layers: Arc<[CacheLayer]>,
    /// In ascending order of capacity.
    pub(super) buckets: Vec<Bucket>,
    limit_bytes: u64,
}

/// Why the cache cannot hold more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    /// The limit of the cache is reached.
    #[error("the cache may take {limit} bytes, {needed} are needed")]
    Full { needed: u64, limit: u64 },
    /// libtorch failed, perhaps because the device's memory is full.
    #[error(transparent)]
    Torch(#[from] TchError),
}

/// The indices of a row's bucket and of the row in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowLocation {
    pub(super) bucket: usize,
    pub(super) row: usize,
}

impl KvCache {
    /// An empty cache that takes at most `limit_bytes`.
    pub(crate) fn new(layers: &[CacheLayer], limit_bytes: u64) -> Self {
        Self {
            layers: layers.into(),
            buckets: vec![],
            limit_bytes,
        }
    }

    /// Tokens that fit into the row of a sequence of `tokens` tokens.
    pub(crate) fn row_capacity(tokens: usize) -> usize {
        tokens.max(MIN_ROW_CAPACITY).next_power_of_two()
    }

    /// Bytes of one token of one sequence, in all layers.
    pub(crate) fn bytes_per_token(&self) -> u64 {
        self.layers.iter().map(CacheLayer::bytes_per_token).sum()
    }

    /// Bytes that all rows together may take.
    pub(crate) fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// All sequences, in the order in which [`decode`](super::Transformer::decode) takes their
    /// tokens.
    pub(crate) fn sequences(&self) -> impl Iterator<Item = usize> {
        let buckets = self.buckets.iter();
        buckets.flat_map(|bucket| bucket.sequences.iter().copied())
    }

    /// Tokens in the row of a sequence; none if it has no row.
    pub(crate) fn length(&self, sequence: usize) -> Option<usize> {
        let RowLocation { bucket, row } = self.locate(sequence)?;
        Some(self.buckets[bucket].lengths[row] as usize)
    }

    /// Adds an empty row with room for `tokens`.
    pub(crate) fn insert(&mut self, sequence: usize, tokens: usize) -> Result<(), CacheError> {
        let bucket = self.reserve(Self::row_capacity(tokens) as i64, 1)?;
        self.buckets[bucket].push(sequence);
        Ok(())
    }

    /// Adds a row with room for `tokens` that begins with the first `prefix` tokens of the sequence
    /// `source`.
    pub(crate) fn fork(
        &mut self,
        source: usize,
        sequence: usize,
        prefix: usize,
        tokens: usize,
    ) -> Result<(), CacheError> {
        self.insert(sequence, tokens)?;
        if let (Some(from), Some(to)) = (self.locate(source), self.locate(sequence)) {
            self.copy(from, to.bucket, prefix as i64)?;
        }
        Ok(())
    }

    /// Gives the row of the sequence `source` to another sequence, which keeps the first `prefix`
    /// tokens. Returns whether there is such a row with exactly the capacity that `tokens` need.
    pub(crate) fn reuse(
        &mut self,
        source: usize,
        sequence: usize,
        prefix: usize,
        tokens: usize,
    ) -> bool {
        let Some(RowLocation { bucket, row }) = self.locate(source) else {
            return false;
        };
        let bucket = &mut self.buckets[bucket];
        if bucket.capacity as usize != Self::row_capacity(tokens) {
            return false;
        }
        bucket.sequences[row] = sequence;
        bucket.lengths[row] = prefix as i64;
        true
    }

    /// Drops the tokens of a row beyond the first `length`, if the sequence has a row.
    pub(crate) fn truncate(&mut self, sequence: usize, length: usize) {
        if let Some(RowLocation { bucket, row }) = self.locate(sequence) {
            let present = &mut self.buckets[bucket].lengths[row];
            *present = (*present).min(length as i64);
        }
    }

    /// Removes all rows and frees their memory.
    pub(crate) fn clear(&mut self) {
        self.buckets.clear();
    }

    /// Removes the row of a sequence, if it has one.
    pub(crate) fn remove(&mut self, sequence: usize) -> Result<(), TchError> {
        if let Some(RowLocation { bucket, row }) = self.locate(sequence) {
            self.buckets[bucket].swap_remove(row)?;
            self.drop_empty_buckets();
        }
        Ok(())
    }

    /// Moves full rows to the bucket of the next capacity, so that every row has room for one more
    /// token.
    pub(crate) fn grow_full_rows(&mut self) -> Result<(), CacheError> {
        // A reservation that failed leaves an empty bucket.
        self.drop_empty_buckets();
        let capacities: Vec<i64> = self.buckets.iter().map(|bucket| bucket.capacity).collect();
        for capacity in capacities {
            let bucket = self
                .buckets
                .iter()
                .find(|bucket| bucket.capacity == capacity);
            let full: Vec<usize> = match bucket {
                None => continue,
                Some(bucket) => std::iter::zip(&bucket.sequences, &bucket.lengths)
                    .filter(|&(_, &length)| length == capacity)
                    .map(|(&sequence, _)| sequence)
                    .collect(),
            };
            if full.is_empty() {
                continue;
            }
            self.reserve(capacity * 2, full.len() as i64)?;
            for sequence in full {
                // Both buckets may have another index than for the row before.
                let target = self.reserve(capacity * 2, 1)?;
                let Some(from) = self.locate(sequence) else {
                    continue;
                };
                self.buckets[target].push(sequence);
                let copied = self.copy(from, target, capacity);
                if copied.is_err() {
                    self.buckets[target].sequences.pop();
                    self.buckets[target].lengths.pop();
                }
                copied?;
                self.buckets[from.bucket].swap_remove(from.row)?;
            }
            self.drop_empty_buckets();
        }
        Ok(())
    }

    /// Where the row of a sequence is. While a row moves it is in two buckets; this is the one of
    /// smaller capacity.
    pub(super) fn locate(&self, sequence: usize) -> Option<RowLocation> {
        let mut buckets = self.buckets.iter().enumerate();
        buckets.find_map(|(index, bucket)| {
            let mut sequences = bucket.sequences.iter();
            let row = sequences.position(|&other| other == sequence)?;
            Some(RowLocation { bucket: index, row })
        })
    }

    /// Allocates memory for `more` rows of this capacity and returns the index of their bucket.
    fn reserve(&mut self, capacity: i64, more: i64) -> Result<usize, CacheError> {
        let found = self
            .buckets
            .binary_search_by_key(&capacity, |bucket| bucket.capacity);
        let index = match found {
            Ok(index) => index,
            Err(index) => {
                let bucket = Bucket::new(self.layers.clone(), capacity)?;
                self.buckets.insert(index, bucket);
                index
            }
        };
        let bucket = &self.buckets[index];
        let (allocated, needed) = (
            bucket.allocated_rows(),
            bucket.sequences.len() as i64 + more,
        );
        if needed <= allocated {
            return Ok(index);
        }
        // Doubling keeps the cost of copying constant per row.
        let doubled = needed.max(allocated * 2);
        if self.bytes_with(index, doubled) <= self.limit_bytes {
            self.buckets[index].reallocate(doubled)?;
            return Ok(index);
        }
        if self.bytes_with(index, needed) > self.limit_bytes {
            for bucket in &mut self.buckets {
                bucket.reallocate(bucket.sequences.len() as i64)?;
            }
        }
        let bytes = self.bytes_with(index, needed);
        if bytes > self.limit_bytes {
            return Err(CacheError::Full {
                needed: bytes,
                limit: self.limit_bytes,
            });
        }
        self.buckets[index].reallocate(needed)?;
        Ok(index)
    }

    /// Bytes of all buckets if the one at `index` had memory for `rows` rows.
    fn bytes_with(&self, index: usize, rows: i64) -> u64 {
        let buckets = self.buckets.iter().enumerate();
        let bytes = buckets.map(|(other, bucket)| {
            let rows = if other == index {
                rows
            } else {
                bucket.allocated_rows()
            };
            rows as u64 * bucket.bytes_per_row()
        });
        bytes.sum()
    }

    /// Copies the first `length` tokens of a row to the last row of the bucket `target`.
    fn copy(&mut self, from: RowLocation, target: usize, length: i64) -> Result<(), TchError> {
        if from.bucket == target {
            return self.buckets[target].copy_to_last(None, from.row, length);
        }
        let (low, high) = self.buckets.split_at_mut(from.bucket.max(target));
        let (source, target) = if from.bucket < target {
            (&low[from.bucket], &mut high[0])
        } else {
            (&high[0], &mut low[target])
        };
        target.copy_to_last(Some(source), from.row, length)
    }

    fn drop_empty_buckets(&mut self) {
        self.buckets.retain(|bucket| !bucket.sequences.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::KvHeads;
    use tch::{Device, Kind, Tensor};

    const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

    fn cache(limit: u64) -> KvCache {
        let kv_heads = KvHeads {
            count: 2,
            key_dim: 8,
            value_dim: 8,
        };
        let (kind, device) = OPTIONS;
        let layer = CacheLayer {
            kv_heads,
            kind,
            device,
        };
        KvCache::new(&[layer; 2], limit)
    }

    /// Bytes of a row for 256 tokens: 2 layers, 2 heads, 8 elements each of key and value.
    const ROW_BYTES: u64 = 256 * 2 * 2 * (8 + 8) * 4;

    /// Makes the row of a sequence `length` tokens long, with `value` as all keys and values.
    fn fill(cache: &mut KvCache, sequence: usize, length: i64, value: f64) {
        let RowLocation { bucket, row } = cache.locate(sequence).unwrap();
        let tokens = Tensor::full([2, length, 8], value, OPTIONS);
        for layer in 0..2 {
            cache.buckets[bucket]
                .write(layer, row, 0, [&tokens, &tokens])
                .unwrap();
        }
        cache.buckets[bucket].lengths[row] = length;
    }

    /// Asserts that the row of a sequence holds `length` tokens, all equal to `value`.
    fn assert_row(cache: &KvCache, sequence: usize, length: usize, value: f64) {
        assert_eq!(cache.length(sequence), Some(length));
        let RowLocation { bucket, row } = cache.locate(sequence).unwrap();
        for layer in 0..2 {
            for tensor in cache.buckets[bucket]
                .read(layer, row, length as i64)
                .unwrap()
            {
                assert!(
                    bool::try_from(tensor.eq(value).all()).unwrap(),
                    "row of sequence {sequence}"
                );
            }
        }
    }

    fn allocated(cache: &KvCache) -> u64 {
        cache.bytes_with(usize::MAX, 0)
    }

    /// Fills memory with NaN and frees it, so that the allocator hands it out again.
    fn free_memory_full_of_nan(size: [i64; 4]) {
        let tensors: Vec<Tensor> = (0..8)
            .map(|_| Tensor::full(size, f64::NAN, OPTIONS))
            .collect();
        drop(tensors);
    }

    #[test]
    fn memory_beyond_the_end_of_a_row_is_finite_even_after_growing() {
        let finite = |cache: &KvCache| {
            let mut tensors = cache.buckets.iter().flat_map(Bucket::tensors);
            tensors.all(|tensor| bool::try_from(tensor.isfinite().all()).unwrap())
        };
        free_memory_full_of_nan([1, 2, 256, 8]);
        let mut cache = cache(u64::MAX);
        cache.insert(7, 3).unwrap();
        fill(&mut cache, 7, 256, 2.0);
        free_memory_full_of_nan([1, 2, 512, 8]);
        cache.grow_full_rows().unwrap();
        assert!(finite(&cache));
        assert_eq!(cache.buckets[0].capacity, 512);
        assert_row(&cache, 7, 256, 2.0);
    }

    #[test]
    fn rows_keep_their_tokens_when_other_rows_change() {
        let mut cache = cache(u64::MAX);
        for sequence in 0..5 {
            cache.insert(sequence, 300).unwrap();
            fill(&mut cache, sequence, 300 + sequence as i64, sequence as f64);
        }
        cache.remove(1).unwrap();
        cache.insert(8, 10).unwrap();
        fill(&mut cache, 8, 256, 8.0);
        cache.fork(2, 9, 200, 210).unwrap();
        cache.grow_full_rows().unwrap();
        assert!(cache.reuse(3, 10, 150, 500));
        assert!(
            !cache.reuse(4, 11, 150, 200),
            "the row is longer than needed"
        );
        for (sequence, length, value) in [(0, 300, 0.0), (2, 302, 2.0), (4, 304, 4.0)] {
            assert_row(&cache, sequence, length, value);
        }
        for (sequence, length, value) in [(8, 256, 8.0), (9, 200, 2.0), (10, 150, 3.0)] {
            assert_row(&cache, sequence, length, value);
        }
        let capacity = |sequence| cache.buckets[cache.locate(sequence).unwrap().bucket].capacity;
        assert_eq!([8, 9, 10].map(capacity), [512, 256, 512]);
        assert_eq!((cache.length(1), cache.length(3)), (None, None));
        assert_eq!(cache.sequences().count(), 6);
    }

    #[test]
    fn the_limit_is_kept_and_spare_rows_are_freed_to_keep_it() {
        let mut cache = cache(5 * ROW_BYTES);
        for sequence in 0..3 {
            cache.insert(sequence, 1).unwrap();
            fill(&mut cache, sequence, 2, sequence as f64);
        }
        assert_eq!(allocated(&cache), 4 * ROW_BYTES, "growth doubles the rows");
        cache.insert(3, 257).unwrap();
        assert_eq!(allocated(&cache), 5 * ROW_BYTES, "the spare row is freed");
        let error = cache.insert(4, 1).unwrap_err();
        assert!(
            matches!(error, CacheError::Full { needed, limit } if needed == 6 * ROW_BYTES && limit == 5 * ROW_BYTES),
            "{error}"
        );
        cache.remove(3).unwrap();
        cache.insert(4, 1).unwrap();
        assert_row(&cache, 2, 2, 2.0);
    }
}
