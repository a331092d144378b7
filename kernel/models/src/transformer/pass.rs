//! Which tokens a pass of the transformer covers and which see which.

use tch::{Device, TchError, Tensor};

use super::KeyValueCache;

/// What attention does with the tokens of a pass.
pub(crate) enum Pass<'a> {
    /// Whole sequences of these lengths, one after another; each token sees itself and the
    /// earlier ones of its sequence.
    Sequences(&'a [i64]),
    /// The same, and their keys and values become the next rows of the cache.
    Prefill(&'a [i64], &'a mut KeyValueCache),
    /// One token for every row of the cache; it sees its row and is appended to it.
    Decode(&'a mut KeyValueCache),
}

/// Whole sequences as flat tokens.
pub(crate) struct Packed {
    /// `[tokens]`
    pub(crate) tokens: Tensor,
    /// Position of each token in its sequence: `[tokens]`.
    pub(crate) positions: Tensor,
    /// Length of each sequence.
    pub(crate) lengths: Vec<i64>,
}

impl Packed {
    pub(crate) fn new<'a>(
        sequences: impl IntoIterator<Item = &'a [u32]>,
        device: Device,
    ) -> Result<Self, TchError> {
        let (mut tokens, mut positions, mut lengths) = (vec![], vec![], vec![]);
        for sequence in sequences {
            tokens.extend(sequence.iter().map(|&token| i64::from(token)));
            positions.extend(0..sequence.len() as i64);
            lengths.push(sequence.len() as i64);
        }
        Ok(Self {
            tokens: Tensor::f_from_slice(&tokens)?.f_to_device(device)?,
            positions: Tensor::f_from_slice(&positions)?.f_to_device(device)?,
            lengths,
        })
    }
}
