//! Rotary position embedding (<https://arxiv.org/abs/2104.09864>).

use std::f64::consts::TAU;

use tch::{Device, Kind, TchError, Tensor};

use super::SharedTensor;
use crate::configuration::{RopeScaling, Yarn};

/// The rotation frequencies of a head.
pub(super) struct Rope {
    /// `base^(-2i / size)`, stretched to the context, one per pair: `[size / 2]`.
    frequencies: SharedTensor,
    /// Factor of cosines and sines.
    factor: f64,
}

/// The rotations of some tokens. The two numbers of a pair are half a head apart.
pub(super) struct Rotation {
    /// `[tokens, 1, size]`
    cosine: Tensor,
    /// `[tokens, 1, size]`, negative in the first half
    signed_sine: Tensor,
}

impl Rope {
    /// Frequencies in the operations and precision of `transformers`, on which the last digits at
    /// far positions depend.
    ///
    /// `base` and `scaling` are those of the layers, `size` how many numbers of a head rotate.
    pub(super) fn new(
        base: f64,
        size: i64,
        scaling: RopeScaling,
        device: Device,
    ) -> Result<Self, TchError> {
        let exponents =
            Tensor::f_arange_start_step(0, size, 2, (Kind::Float, device))?.f_div_scalar(size)?;
        let plain = Tensor::f_pow_scalar(base, &exponents)?.f_reciprocal()?;
        let (frequencies, factor) = match scaling {
            RopeScaling::Default => (plain, 1.0),
            RopeScaling::Linear { factor } => (plain.f_div_scalar(factor)?, 1.0),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                let stretch = |plain: f32| {
                    let periods = original_max_position_embeddings * f64::from(plain) / TAU;
                    let kept = (periods - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    blend(plain, factor, kept)
                };
                (each(&plain, device, |_, plain| stretch(plain))?, 1.0)
            }
            RopeScaling::Yarn(yarn) => {
                let (low, high) = yarn.ramp(base, size);
                let stretch = |pair: usize, plain: f32| {
                    let ramp = (pair as f64 - low) / (high - low);
                    blend(plain, yarn.factor, 1.0 - ramp)
                };
                (each(&plain, device, stretch)?, yarn.rotation_factor())
            }
            RopeScaling::Proportional {
                partial_rotary_factor,
                factor,
            } => {
                let rotating = (partial_rotary_factor * size as f64 / 2.0).floor() as usize;
                let stretch = |pair: usize, plain: f32| match pair < rotating {
                    true => plain / factor as f32,
                    false => 0.0,
                };
                (each(&plain, device, stretch)?, 1.0)
            }
        };
        Ok(Self {
            frequencies: SharedTensor::new(frequencies),
            factor,
        })
    }

    /// The rotations of tokens at `positions`, `[tokens]`, in the kind of the heads.
    pub(super) fn rotation(&self, positions: &Tensor, kind: Kind) -> Result<Rotation, TchError> {
        let angles = positions
            .f_to_kind(Kind::Float)?
            .f_unsqueeze(-1)?
            .f_mul(&self.frequencies.f_to_device(positions.device())?)?;
        let (mut cosine, mut sine) = (angles.f_cos()?, angles.f_sin()?);
        if self.factor != 1.0 {
            cosine = cosine.f_mul_scalar(self.factor)?;
            sine = sine.f_mul_scalar(self.factor)?;
        }
        // Angles need all digits of far positions; their sines do not.
        let (cosine, sine) = (cosine.f_to_kind(kind)?, sine.f_to_kind(kind)?);
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

    /// The same for heads in which the two numbers of a pair are neighbours. The result has them
    /// half a head apart: queries and keys agree on the order, and nothing else sees it.
    pub(super) fn apply_interleaved(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let shape = x.size();
        let pairs = x.f_reshape([shape[0], shape[1], -1, 2])?;
        self.apply(&pairs.f_transpose(2, 3)?.f_reshape(&shape)?)
    }
}

impl Yarn {
    /// The pairs between which frequencies go over from kept to divided.
    fn ramp(&self, base: f64, size: i64) -> (f64, f64) {
        let pair_of = |rotations: f64| {
            let periods = self.original_max_position_embeddings / (rotations * TAU);
            size as f64 * periods.ln() / (2.0 * base.ln())
        };
        let (mut low, mut high) = (pair_of(self.beta_fast), pair_of(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, high) = (low.max(0.0), high.min(size as f64 - 1.0));
        // A ramp of no width would divide by zero.
        (low, if low == high { high + 0.001 } else { high })
    }

    /// Factor of cosines and sines.
    fn rotation_factor(&self) -> f64 {
        match (self.attention_factor, self.mscale, self.mscale_all_dim) {
            (Some(factor), _, _) => factor,
            // 0 counts as absent in the reference.
            (None, Some(one), Some(all)) if one != 0.0 && all != 0.0 => {
                self.magnitude(one) / self.magnitude(all)
            }
            _ => self.magnitude(1.0),
        }
    }

    /// Factor of the attention's logits beside `1 / sqrt(size)`.
    pub(super) fn logit_factor(&self) -> f64 {
        match self.mscale_all_dim {
            Some(weight) if weight != 0.0 => self.magnitude(weight).powi(2),
            _ => 1.0,
        }
    }

    /// `0.1 * weight * ln(factor) + 1`.
    fn magnitude(&self, weight: f64) -> f64 {
        if self.factor <= 1.0 {
            return 1.0;
        }
        0.1 * weight * self.factor.ln() + 1.0
    }
}

/// `kept` of the frequency, from 0 to 1, and the rest of it divided by `factor`.
fn blend(plain: f32, factor: f64, kept: f64) -> f32 {
    let (kept, factor) = (kept.clamp(0.0, 1.0) as f32, factor as f32);
    plain / factor * (1.0 - kept) + plain * kept
}

/// A change of each number of a vector, which also gets its index.
fn each(
    tensor: &Tensor,
    device: Device,
    change: impl Fn(usize, f32) -> f32,
) -> Result<Tensor, TchError> {
    let numbers = Vec::<f32>::try_from(tensor)?;
    let numbers = numbers.into_iter().enumerate();
    let changed: Vec<f32> = numbers
        .map(|(index, number)| change(index, number))
        .collect();
    Tensor::f_from_slice(&changed)?.f_to_device(device)
}
