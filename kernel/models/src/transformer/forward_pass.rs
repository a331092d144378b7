//! Which tokens a forward pass covers, and which of them attend to which.

use tch::{Device, Kind, TchError, Tensor};

use super::kv_cache::{KvCache, RowLocation};

/// What attention does with the tokens of a forward pass.
pub(super) enum ForwardPass<'a> {
    /// Whole sequences of these lengths, one after another, without a cache. Each token attends to
    /// itself and the earlier ones of its sequence.
    Uncached(&'a [i64]),
    /// Parts of sequences, of these lengths, that continue rows of the cache. Their keys and values
    /// are appended.
    Prefill(&'a [i64], Prefill<'a>),
    /// One token for every row of the cache. It attends to its row and is appended to it.
    Decode(Decode<'a>),
}

impl ForwardPass<'_> {
    /// Counts the tokens whose keys and values every layer has written as part of their rows.
    ///
    /// Before that, a pass that fails leaves the lengths of all rows unchanged.
    pub(super) fn commit(self) {
        match self {
            Self::Uncached(_) => {}
            Self::Prefill(lengths, prefill) => prefill.commit(lengths),
            Self::Decode(decode) => decode.commit(),
        }
    }
}

/// Sequences, or parts of sequences, as one run of tokens without padding.
pub(crate) struct PackedSequences {
    /// `[tokens]`
    pub(crate) tokens: Tensor,
    /// Position of each token in its sequence: `[tokens]`.
    pub(crate) positions: Tensor,
    /// Tokens of each sequence or part.
    pub(crate) lengths: Vec<i64>,
}

impl PackedSequences {
    /// Packs whole sequences.
    pub(crate) fn new<'a>(
        sequences: impl IntoIterator<Item = &'a [u32]>,
        device: Device,
    ) -> Result<Self, TchError> {
        let chunks = sequences.into_iter().map(|sequence| (0, sequence));
        Self::chunks(chunks, device)
    }

    /// Packs parts of sequences, each with the position of its first token.
    pub(crate) fn chunks<'a>(
        chunks: impl IntoIterator<Item = (usize, &'a [u32])>,
        device: Device,
    ) -> Result<Self, TchError> {
        let (mut tokens, mut positions, mut lengths) = (vec![], vec![], vec![]);
        for (start, chunk) in chunks {
            tokens.extend(chunk.iter().map(|&token| i64::from(token)));
            positions.extend((start..start + chunk.len()).map(|position| position as i64));
            lengths.push(chunk.len() as i64);
        }
        Ok(Self {
            tokens: Tensor::f_from_slice(&tokens)?.f_to_device(device)?,
            positions: Tensor::f_from_slice(&positions)?.f_to_device(device)?,
            lengths,
        })
    }
}

/// Rows of the cache that get the next tokens of their sequences.
pub(super) struct Prefill<'a> {
    cache: &'a mut KvCache,
    rows: Vec<PrefillRow>,
}

struct PrefillRow {
    location: RowLocation,
    /// Tokens that the row holds already.
    start: i64,
    /// 0 where a new token attends to a token of the row, -inf elsewhere: `[tokens, start + tokens]`.
    /// Absent if the row is empty, because then the causal mask suffices.
    mask: Option<Tensor>,
}

impl<'a> Prefill<'a> {
    /// Prepares the rows of `sequences`, which must have room for `lengths` more tokens.
    pub(super) fn new(
        cache: &'a mut KvCache,
        sequences: &[usize],
        lengths: &[i64],
        (kind, device): (Kind, Device),
    ) -> Result<Self, TchError> {
        let mut rows = Vec::with_capacity(sequences.len());
        for (&sequence, &length) in sequences.iter().zip(lengths) {
            let Some(location) = cache.locate(sequence) else {
                let detail = format!("the cache has no row for sequence {sequence}");
                return Err(TchError::Shape(detail));
            };
            let start = cache.buckets[location.bucket].lengths[location.row];
            let mask = match start {
                0 => None,
                _ => {
                    let size = [length, start + length];
                    let minus_infinity = Tensor::f_full(size, f64::NEG_INFINITY, (kind, device))?;
                    Some(minus_infinity.f_triu(start + 1)?)
                }
            };
            rows.push(PrefillRow {
                location,
                start,
                mask,
            });
        }
        Ok(Self { cache, rows })
    }

    /// Writes keys and values, `[heads, tokens, size]`, of one layer to the row of the `index`-th
    /// sequence.
    ///
    /// Returns all keys and values of the row and the mask, or none if the row was empty before.
    pub(super) fn append(
        &self,
        index: usize,
        cache_layer: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Option<([Tensor; 2], &Tensor)>, TchError> {
        let PrefillRow {
            location: RowLocation { bucket, row },
            start,
            ref mask,
        } = self.rows[index];
        let bucket = &self.cache.buckets[bucket];
        bucket.write(cache_layer, row, start, [keys, values])?;
        let Some(mask) = mask else {
            return Ok(None);
        };
        let end = start + keys.size()[1];
        Ok(Some((bucket.read(cache_layer, row, end)?, mask)))
    }

    fn commit(self, lengths: &[i64]) {
        for (PrefillRow { location, .. }, length) in self.rows.iter().zip(lengths) {
            self.cache.buckets[location.bucket].lengths[location.row] += length;
        }
    }
}

/// All rows of the cache, each of which gets one more token.
pub(super) struct Decode<'a> {
    cache: &'a mut KvCache,
    /// Position of the new token of each row: `[rows]`.
    pub(super) positions: Tensor,
    /// One for each bucket of the cache.
    groups: Vec<DecodeGroup>,
}

/// The rows of one bucket, which are attended to together.
struct DecodeGroup {
    /// Index of the first row among all rows of the cache.
    first: i64,
    count: i64,
    /// Row numbers within the bucket: `[count]`.
    rows: Tensor,
    /// `[count]`
    positions: Tensor,
    /// 0 where a row has a token, -inf beyond its end: `[count, 1, 1, longest]`. Absent if all rows
    /// have the same length.
    mask: Option<Tensor>,
    /// Tokens of the shortest and the longest row, including the new one.
    shortest: i64,
    longest: i64,
    /// The masks of sliding-window layers by their window, made when the first such layer needs one.
    window_masks: Vec<(i64, Tensor)>,
}

impl<'a> Decode<'a> {
    /// Prepares all rows of the cache, each of which has room for one more token.
    pub(super) fn new(
        cache: &'a mut KvCache,
        (kind, device): (Kind, Device),
    ) -> Result<Self, TchError> {
        let lengths = cache.buckets.iter().flat_map(|bucket| &bucket.lengths);
        let lengths: Vec<i64> = lengths.copied().collect();
        let positions = Tensor::f_from_slice(&lengths)?.f_to_device(device)?;
        let mut groups = Vec::with_capacity(cache.buckets.len());
        let mut first = 0;
        for bucket in &cache.buckets {
            let count = bucket.lengths.len() as i64;
            let positions = positions.f_narrow(0, first, count)?;
            let longest = bucket.lengths.iter().copied().max().unwrap_or(0) + 1;
            let shortest = bucket.lengths.iter().copied().min().unwrap_or(0) + 1;
            if longest > bucket.capacity {
                let capacity = bucket.capacity;
                let detail = format!("a row for {capacity} tokens is full and would get one more");
                return Err(TchError::Shape(detail));
            }
            let mask = if shortest == longest {
                None
            } else {
                let columns = Tensor::f_arange(longest, (Kind::Int64, device))?;
                let is_beyond_end = columns.f_gt_tensor(&positions.f_unsqueeze(1)?)?;
                let mask = Tensor::f_zeros([count, longest], (kind, device))?
                    .f_masked_fill(&is_beyond_end, f64::NEG_INFINITY)?;
                Some(mask.f_view([count, 1, 1, longest])?)
            };
            groups.push(DecodeGroup {
                first,
                count,
                rows: Tensor::f_arange(count, (Kind::Int64, device))?,
                positions,
                mask,
                shortest,
                longest,
                window_masks: vec![],
            });
            first += count;
        }
        Ok(Self {
            cache,
            positions,
            groups,
        })
    }

    /// Number of groups of rows that are attended to together.
    pub(super) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// The rows of a group in `tensor`, `[all rows, ...]`.
    pub(super) fn slice(&self, group: usize, tensor: &Tensor) -> Result<Tensor, TchError> {
        let DecodeGroup { first, count, .. } = self.groups[group];
        match self.groups.len() {
            1 => Ok(tensor.shallow_clone()),
            _ => tensor.f_narrow(0, first, count),
        }
    }

    /// Writes keys and values, `[rows, heads, size]`, of one new token to every row of a group in
    /// one layer.
    ///
    /// Returns the keys and values, `[rows, heads, tokens, size]`, that at least one row attends to
    /// (all, or those within a row's sliding window), and the mask of those that not all rows attend
    /// to.
    pub(super) fn append(
        &mut self,
        group: usize,
        cache_layer: usize,
        sliding_window: Option<i64>,
        new: [&Tensor; 2],
    ) -> Result<([Tensor; 2], Option<Tensor>), TchError> {
        // Groups and buckets are in the same order.
        let bucket = &mut self.cache.buckets[group];
        let group = &mut self.groups[group];
        let longest = group.longest;
        let targets = [&group.rows, &group.positions];
        let [keys, values] = bucket.append(cache_layer, targets, longest, new)?;
        let device = keys.device();
        let to_device = |mask: &Tensor| mask.f_to_device(device);
        let Some(window) = sliding_window.filter(|&window| longest > window) else {
            let mask = group.mask.as_ref().map(to_device).transpose()?;
            return Ok(([keys, values], mask));
        };
        // What precedes the window of the shortest row is outside the window of every row.
        let first = (group.shortest - window).max(0);
        let in_window = |tensor: &Tensor| tensor.f_narrow(2, first, longest - first);
        let mask = match group.window_mask(window, first, keys.kind())? {
            Some(mask) => Some(to_device(mask)?),
            None => None,
        };
        Ok(([in_window(&keys)?, in_window(&values)?], mask))
    }

    fn commit(self) {
        for bucket in &mut self.cache.buckets {
            bucket.lengths.iter_mut().for_each(|length| *length += 1);
        }
    }
}

impl DecodeGroup {
    /// 0 where a row attends to a token and -inf elsewhere, `[count, 1, 1, tokens]`, for the tokens
    /// from `first` on; none if every row attends to all of them.
    fn window_mask(
        &mut self,
        window: i64,
        first: i64,
        kind: Kind,
    ) -> Result<Option<&Tensor>, TchError> {
        if self.shortest == self.longest {
            return Ok(None);
        }
        let known = self
            .window_masks
            .iter()
            .position(|(other, _)| *other == window);
        let index = match known {
            Some(index) => index,
            None => {
                let device = self.positions.device();
                let columns = Tensor::f_arange_start(first, self.longest, (Kind::Int64, device))?;
                let positions = self.positions.f_unsqueeze(1)?;
                let is_beyond_end = columns.f_gt_tensor(&positions)?;
                let is_before_window = columns.f_le_tensor(&positions.f_sub_scalar(window)?)?;
                let is_hidden = is_beyond_end.f_logical_or(&is_before_window)?;
                let mask = Tensor::f_zeros([self.count, self.longest - first], (kind, device))?
                    .f_masked_fill(&is_hidden, f64::NEG_INFINITY)?;
                let mask = mask.f_view([self.count, 1, 1, self.longest - first])?;
                self.window_masks.push((window, mask));
                self.window_masks.len() - 1
            }
        };
        Ok(Some(&self.window_masks[index].1))
    }
}
