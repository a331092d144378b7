//! Which tokens a pass of the transformer covers and which see which.

use tch::{Device, Kind, TchError, Tensor};

use super::kv_cache::{KvCache, RowLocation};

/// What attention does with the tokens of a pass.
pub(crate) enum ForwardPass<'a> {
    /// Whole sequences of these lengths, one after another; each token sees itself and the
    /// earlier ones of its sequence.
    Sequences(&'a [i64]),
    /// Sequences of these lengths that go on where rows of the cache end; their keys and values
    /// are appended.
    Fill(&'a [i64], Fill<'a>),
    /// One token for every row of the cache; it sees its row and is appended to it.
    Step(Step<'a>),
}

impl ForwardPass<'_> {
    /// Counts the tokens, which every layer has written to the cache, as present.
    pub(super) fn end(self) {
        match self {
            Self::Sequences(_) => {}
            Self::Fill(lengths, fill) => fill.end(lengths),
            Self::Step(step) => step.end(),
        }
    }
}

/// Sequences as flat tokens.
pub(crate) struct PackedSequences {
    /// `[tokens]`
    pub(crate) tokens: Tensor,
    /// Position of each token in its sequence: `[tokens]`.
    pub(crate) positions: Tensor,
    /// Length of each sequence.
    pub(crate) lengths: Vec<i64>,
}

impl PackedSequences {
    /// Whole sequences.
    pub(crate) fn new<'a>(
        sequences: impl IntoIterator<Item = &'a [u32]>,
        device: Device,
    ) -> Result<Self, TchError> {
        Self::chunks(sequences.into_iter().map(|sequence| (0, sequence)), device)
    }

    /// Weights of sequences: the position of the first token of each, and its tokens.
    pub(crate) fn chunks<'a>(
        parts: impl IntoIterator<Item = (usize, &'a [u32])>,
        device: Device,
    ) -> Result<Self, TchError> {
        let (mut tokens, mut positions, mut lengths) = (vec![], vec![], vec![]);
        for (start, part) in parts {
            tokens.extend(part.iter().map(|&token| i64::from(token)));
            positions.extend((start..start + part.len()).map(|position| position as i64));
            lengths.push(part.len() as i64);
        }
        Ok(Self {
            tokens: Tensor::f_from_slice(&tokens)?.f_to_device(device)?,
            positions: Tensor::f_from_slice(&positions)?.f_to_device(device)?,
            lengths,
        })
    }
}

/// Rows of the cache that get the next tokens of their sequences.
pub(crate) struct Fill<'a> {
    cache: &'a mut KvCache,
    rows: Vec<FilledRow>,
}

struct FilledRow {
    place: RowLocation,
    /// Tokens that the row has already.
    start: i64,
    /// 0 where a new token sees one of the row, -inf where not, `[tokens, start + tokens]`; absent
    /// where the row is empty and the usual causal mask does.
    mask: Option<Tensor>,
}

impl<'a> Fill<'a> {
    /// `owners` of rows, each with the number of tokens that it gets, for which it has room.
    pub(super) fn new(
        cache: &'a mut KvCache,
        owners: &[usize],
        lengths: &[i64],
        (kind, device): (Kind, Device),
    ) -> Result<Self, TchError> {
        let mut rows = Vec::with_capacity(owners.len());
        for (&owner, &length) in owners.iter().zip(lengths) {
            let Some(place) = cache.place(owner) else {
                return Err(TchError::Shape(format!("the cache has no row of {owner}")));
            };
            let start = cache.slabs[place.slab].lengths[place.row];
            let mask = match start {
                0 => None,
                _ => {
                    let size = [length, start + length];
                    let hidden = Tensor::f_full(size, f64::NEG_INFINITY, (kind, device))?;
                    Some(hidden.f_triu(start + 1)?)
                }
            };
            rows.push(FilledRow { place, start, mask });
        }
        Ok(Self { cache, rows })
    }

    /// Appends tokens to the row of the `index`-th sequence in one layer, `[heads, tokens, size]`.
    /// Returns all its keys and values and what a token may see of them, if it has earlier ones.
    pub(super) fn append(
        &self,
        index: usize,
        layer: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<Option<([Tensor; 2], &Tensor)>, TchError> {
        let row = &self.rows[index];
        let slab = &self.cache.slabs[row.place.slab];
        slab.write(layer, row.place.row, row.start, [keys, values])?;
        let Some(mask) = &row.mask else {
            return Ok(None);
        };
        let end = row.start + keys.size()[1];
        Ok(Some((slab.read(layer, row.place.row, end)?, mask)))
    }

    fn end(self, lengths: &[i64]) {
        for (FilledRow { place, .. }, length) in self.rows.iter().zip(lengths) {
            self.cache.slabs[place.slab].lengths[place.row] += length;
        }
    }
}

/// All rows of the cache, each of which gets one more token.
pub(crate) struct Step<'a> {
    cache: &'a mut KvCache,
    /// Where the new token of each row goes: `[rows]`.
    pub(super) positions: Tensor,
    segments: Vec<Segment>,
}

/// The rows of one slab.
struct Segment {
    /// The flat index of its first row.
    first: i64,
    count: i64,
    /// Row numbers in the slab, `[count]`.
    rows: Tensor,
    /// `[count]`
    positions: Tensor,
    /// 0 where a row sees a token, -inf beyond its end, `[count, 1, 1, longest]`; absent where all
    /// rows are equally long.
    mask: Option<Tensor>,
    /// Tokens of the shortest and the longest row, the new one included.
    shortest: i64,
    longest: i64,
    /// The masks of layers that see a window, by window: made when the first such layer asks.
    windowed: Vec<(i64, Tensor)>,
}

impl<'a> Step<'a> {
    /// All rows of the cache, in each of which there is room for one more token.
    pub(super) fn new(
        cache: &'a mut KvCache,
        (kind, device): (Kind, Device),
    ) -> Result<Self, TchError> {
        let lengths: Vec<i64> = cache
            .slabs
            .iter()
            .flat_map(|slab| slab.lengths.iter().copied())
            .collect();
        let positions = Tensor::f_from_slice(&lengths)?.f_to_device(device)?;
        let mut segments = Vec::with_capacity(cache.slabs.len());
        let mut first = 0;
        for slab in &cache.slabs {
            let count = slab.lengths.len() as i64;
            let positions = positions.f_narrow(0, first, count)?;
            let longest = slab.lengths.iter().copied().max().unwrap_or(0) + 1;
            let shortest = slab.lengths.iter().copied().min().unwrap_or(0) + 1;
            if longest > slab.capacity {
                let detail = format!("a row of {} tokens gets one more", slab.capacity);
                return Err(TchError::Shape(detail));
            }
            let mask = match shortest == longest {
                true => None,
                false => {
                    let columns = Tensor::f_arange(longest, (Kind::Int64, device))?;
                    let beyond = columns.f_gt_tensor(&positions.f_unsqueeze(1)?)?;
                    let mask = Tensor::f_zeros([count, longest], (kind, device))?
                        .f_masked_fill(&beyond, f64::NEG_INFINITY)?;
                    Some(mask.f_view([count, 1, 1, longest])?)
                }
            };
            segments.push(Segment {
                first,
                count,
                rows: Tensor::f_arange(count, (Kind::Int64, device))?,
                positions,
                mask,
                shortest,
                longest,
                windowed: vec![],
            });
            first += count;
        }
        Ok(Self {
            cache,
            positions,
            segments,
        })
    }

    /// Groups of rows that are attended together.
    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// The rows of a segment in `tensor`, `[rows, ...]`.
    pub(super) fn part(&self, segment: usize, tensor: &Tensor) -> Result<Tensor, TchError> {
        let Segment { first, count, .. } = self.segments[segment];
        match self.segments.len() {
            1 => Ok(tensor.shallow_clone()),
            _ => tensor.f_narrow(0, first, count),
        }
    }

    /// Appends one token to every row of a segment in one layer; keys and values are
    /// `[rows of the segment, heads, size]`. Returns the keys and values that a row may see,
    /// `[rows of the segment, heads, tokens, size]`: all of them, or those that are in the window of
    /// a row; and the mask of those that not all rows see.
    pub(super) fn append(
        &mut self,
        segment: usize,
        slot: usize,
        window: Option<i64>,
        new: [&Tensor; 2],
    ) -> Result<([Tensor; 2], Option<Tensor>), TchError> {
        let index = segment;
        let segment = &mut self.segments[index];
        let places = [&segment.rows, &segment.positions];
        let longest = segment.longest;
        let [keys, values] = self.cache.slabs[index].append(slot, places, longest, new)?;
        let device = keys.device();
        let there = |mask: &Tensor| mask.f_to_device(device);
        match window.filter(|&window| longest > window) {
            None => {
                let mask = segment.mask.as_ref().map(there).transpose()?;
                Ok(([keys, values], mask))
            }
            Some(window) => {
                // What is before the window of the shortest row is in nobody's.
                let first = (segment.shortest - window).max(0);
                let seen = |tensor: &Tensor| tensor.f_narrow(2, first, longest - first);
                let mask = match segment.window_mask(window, first, keys.kind())? {
                    Some(mask) => Some(there(mask)?),
                    None => None,
                };
                Ok(([seen(&keys)?, seen(&values)?], mask))
            }
        }
    }

    fn end(self) {
        for slab in &mut self.cache.slabs {
            slab.lengths.iter_mut().for_each(|length| *length += 1);
        }
    }
}

impl Segment {
    /// 0 where a row sees a token and -inf elsewhere, `[count, 1, 1, tokens]`, for the tokens from
    /// `first` on; `None` where every row sees all of these.
    fn window_mask(
        &mut self,
        window: i64,
        first: i64,
        kind: Kind,
    ) -> Result<Option<&Tensor>, TchError> {
        if self.shortest == self.longest {
            return Ok(None);
        }
        let known = self.windowed.iter().position(|(other, _)| *other == window);
        let index = match known {
            Some(index) => index,
            None => {
                let device = self.positions.device();
                let columns = Tensor::f_arange_start(first, self.longest, (Kind::Int64, device))?;
                let positions = self.positions.f_unsqueeze(1)?;
                let beyond = columns.f_gt_tensor(&positions)?;
                let behind = columns.f_le_tensor(&positions.f_sub_scalar(window)?)?;
                let mask = Tensor::f_zeros([self.count, self.longest - first], (kind, device))?
                    .f_masked_fill(&beyond.f_logical_or(&behind)?, f64::NEG_INFINITY)?;
                let mask = mask.f_view([self.count, 1, 1, self.longest - first])?;
                self.windowed.push((window, mask));
                self.windowed.len() - 1
            }
        };
        Ok(Some(&self.windowed[index].1))
    }
}
