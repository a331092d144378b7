//! Which adapter each token of a pass uses.

use tch::{Device, TchError, Tensor};

use super::Adapter;

/// The adapters of the tokens of one pass. The base weights serve all tokens at once; only the
/// low-rank updates are computed adapter by adapter.
pub(crate) enum Adapters<'a> {
    /// No token has one.
    None,
    /// Every token has this one.
    One(&'a Adapter),
    /// Tokens have different ones. No token is in two shares, and every token is in one.
    Several(Vec<Share<'a>>),
}

/// The tokens of one adapter.
pub(crate) struct Share<'a> {
    /// Absent for the tokens that have none.
    pub(crate) adapter: Option<&'a Adapter>,
    /// Their flat positions in the pass: `[tokens of the share]`.
    pub(crate) tokens: Tensor,
}

impl<'a> From<Option<&'a Adapter>> for Adapters<'a> {
    fn from(adapter: Option<&'a Adapter>) -> Self {
        adapter.map_or(Self::None, Self::One)
    }
}

impl<'a> Adapters<'a> {
    /// For a pass of one token per row, as in decoding.
    pub(crate) fn of_rows(
        rows: impl IntoIterator<Item = Option<&'a Adapter>>,
        device: Device,
    ) -> Result<Self, TchError> {
        Self::of_sequences(rows.into_iter().map(|adapter| (adapter, 1)), device)
    }

    /// For a pass of whole sequences: the adapter and the length of each, in order.
    pub(crate) fn of_sequences(
        sequences: impl IntoIterator<Item = (Option<&'a Adapter>, i64)>,
        device: Device,
    ) -> Result<Self, TchError> {
        let mut shares: Vec<(Option<&'a Adapter>, Vec<i64>)> = Vec::new();
        let mut first = 0;
        for (adapter, length) in sequences {
            let tokens = first..first + length;
            first += length;
            match shares.iter_mut().find(|share| is_same(share.0, adapter)) {
                Some(share) => share.1.extend(tokens),
                None => shares.push((adapter, tokens.collect())),
            }
        }
        if shares.len() <= 1 {
            return Ok(shares.first().and_then(|share| share.0).into());
        }
        let mut several = Vec::with_capacity(shares.len());
        for (adapter, tokens) in shares {
            let tokens = Tensor::f_from_slice(&tokens)?.f_to_device(device)?;
            several.push(Share { adapter, tokens });
        }
        Ok(Self::Several(several))
    }

    /// `output` of the map `module` for `x`, `[tokens, inputs]`, plus the update of each token's
    /// adapter.
    pub(crate) fn adapt(
        &self,
        module: &str,
        x: &Tensor,
        mut output: Tensor,
    ) -> Result<Tensor, TchError> {
        match self {
            Self::None => Ok(output),
            Self::One(adapter) => adapter.adapt(module, x, output),
            Self::Several(shares) => {
                for Share { adapter, tokens } in shares {
                    let Some(adapter) = adapter.filter(|adapter| adapter.adapts(module)) else {
                        continue;
                    };
                    let (x, of_share) = (
                        x.f_index_select(0, tokens)?,
                        output.f_index_select(0, tokens)?,
                    );
                    let adapted = adapter.adapt(module, &x, of_share)?;
                    // In place: adapters that differ answer side by side but do not train so, and
                    // without gradients nothing else refers to the output.
                    output = output.f_index_copy_(0, tokens, &adapted)?;
                }
                Ok(output)
            }
        }
    }
}

fn is_same(one: Option<&Adapter>, other: Option<&Adapter>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.is_same(other),
        (None, None) => true,
        _ => false,
    }
}
