//! Rotary position embedding (<https://arxiv.org/abs/2104.09864>).

use tch::{Device, Kind, TchError, Tensor};

use super::Weight;

/// The rotation frequencies of a head.
pub(super) struct Rope {
    /// `base^(-2i / size)`, one per pair: `[size / 2]`.
    frequencies: Weight,
}

/// The rotations of some tokens. The two numbers of a pair are half a head apart.
pub(super) struct Rotation {
    /// `[tokens, 1, size]`
    cosine: Tensor,
    /// `[tokens, 1, size]`, negative in the first half
    signed_sine: Tensor,
}

impl Rope {
    /// Frequencies for heads of `size` numbers, in the operations and precision of
    /// `transformers`, on which the last digits at far positions depend.
    pub(super) fn new(base: f64, size: i64, device: Device) -> Result<Self, TchError> {
        let exponents =
            Tensor::f_arange_start_step(0, size, 2, (Kind::Float, device))?.f_div_scalar(size)?;
        let frequencies = Tensor::f_pow_scalar(base, &exponents)?.f_reciprocal()?;
        Ok(Self {
            frequencies: Weight::new(frequencies),
        })
    }

    /// The rotations of tokens at `positions`, `[tokens]`.
    pub(super) fn rotation(&self, positions: &Tensor) -> Result<Rotation, TchError> {
        let angles = positions
            .f_to_kind(Kind::Float)?
            .f_unsqueeze(-1)?
            .f_mul(&self.frequencies)?;
        let (cosine, sine) = (angles.f_cos()?, angles.f_sin()?);
        Ok(Rotation {
            cosine: Tensor::f_cat(&[&cosine, &cosine], -1)?.f_unsqueeze(1)?,
            signed_sine: Tensor::f_cat(&[&sine.f_neg()?, &sine], -1)?.f_unsqueeze(1)?,
        })
    }
}

impl Rotation {
    /// Rotates every head of `x`, `[tokens, heads, size]`.
    pub(super) fn apply(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let size = self.cosine.size()[2];
        x.f_roll(size / 2, -1)?
            .f_mul(&self.signed_sine)?
            .f_addcmul(x, &self.cosine)
    }
}
