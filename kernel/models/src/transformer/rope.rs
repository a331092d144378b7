//! Rotary position embedding (<https://arxiv.org/abs/2104.09864>), with the frequencies of
//! `modeling_rope_utils.py` in `transformers`.

use std::f64::consts::TAU;

use tch::{Device, Kind, TchError, Tensor};

use super::SharedTensor;
use crate::Configuration;
use crate::configuration::{RopeScaling, Yarn};

/// The rotary frequencies of full-attention layers and of sliding-window layers.
pub(super) struct Ropes {
    full: Rope,
    sliding: Option<Rope>,
}

/// The rotations of the tokens of a forward pass, on the device of a pipeline stage.
pub(super) struct Rotations {
    full: Rotation,
    sliding: Option<Rotation>,
}

/// The rotary frequencies of a head.
struct Rope {
    /// `base^(-2i / size)`, stretched to the context, one per pair of elements: `[size / 2]`.
    frequencies: SharedTensor,
    /// Factor of cosines and sines.
    factor: f64,
}

/// The rotations of some tokens. The two elements of a pair are half a head apart.
pub(super) struct Rotation {
    /// `[tokens, 1, size]`
    cosine: Tensor,
    /// `[tokens, 1, size]`, negated in the first half.
    signed_sine: Tensor,
}

impl Ropes {
    pub(super) fn new(configuration: &Configuration, device: Device) -> Result<Self, TchError> {
        let full = Rope::new(
            configuration.rope_theta,
            configuration.rotary_dim(),
            configuration.rope_scaling,
            device,
        )?;
        let sliding = match &configuration.variations.sliding_attention {
            Some(sliding) => Some(Rope::new(
                sliding.rope_theta,
                sliding.head_dim,
                sliding.rope_scaling,
                device,
            )?),
            None => None,
        };
        Ok(Self { full, sliding })
    }

    /// The rotations of tokens at `positions`, `[tokens]`, in the kind of the heads.
    pub(super) fn rotations(&self, positions: &Tensor, kind: Kind) -> Result<Rotations, TchError> {
        let sliding = self.sliding.as_ref();
        Ok(Rotations {
            full: self.full.rotation(positions, kind)?,
            sliding: sliding
                .map(|rope| rope.rotation(positions, kind))
                .transpose()?,
        })
    }
}

impl Rotations {
    /// The rotations of a layer with sliding-window attention, or with full attention.
    pub(super) fn of_layer(&self, is_sliding: bool) -> &Rotation {
        match &self.sliding {
            Some(sliding) if is_sliding => sliding,
            _ => &self.full,
        }
    }
}

impl Rope {
    /// The frequencies for `size` rotated elements of a head.
    ///
    /// The operations and their precision are those of `transformers`: at far positions the last
    /// digits of the angles depend on them.
    fn new(base: f64, size: i64, scaling: RopeScaling, device: Device) -> Result<Self, TchError> {
        let exponents =
            Tensor::f_arange_start_step(0, size, 2, (Kind::Float, device))?.f_div_scalar(size)?;
        let unscaled = Tensor::f_pow_scalar(base, &exponents)?.f_reciprocal()?;
        let (frequencies, factor) = match scaling {
            RopeScaling::Default => (unscaled, 1.0),
            RopeScaling::Linear { factor } => (unscaled.f_div_scalar(factor)?, 1.0),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                let stretch = |_, frequency: f32| {
                    let periods = original_max_position_embeddings * f64::from(frequency) / TAU;
                    let kept = (periods - low_freq_factor) / (high_freq_factor - low_freq_factor);
                    interpolate(frequency, factor, kept)
                };
                (map_elements(&unscaled, device, stretch)?, 1.0)
            }
            RopeScaling::Yarn(yarn) => {
                let (low, high) = yarn.ramp(base, size);
                let stretch = |pair: usize, frequency: f32| {
                    let ramp = (pair as f64 - low) / (high - low);
                    interpolate(frequency, yarn.factor, 1.0 - ramp)
                };
                let frequencies = map_elements(&unscaled, device, stretch)?;
                (frequencies, yarn.rotation_factor())
            }
            RopeScaling::Proportional {
                partial_rotary_factor,
                factor,
            } => {
                let rotating_pairs = (partial_rotary_factor * size as f64 / 2.0).floor() as usize;
                let stretch = |pair: usize, frequency: f32| {
                    if pair < rotating_pairs {
                        frequency / factor as f32
                    } else {
                        0.0
                    }
                };
                (map_elements(&unscaled, device, stretch)?, 1.0)
            }
        };
        Ok(Self {
            frequencies: SharedTensor::new(frequencies),
            factor,
        })
    }

    fn rotation(&self, positions: &Tensor, kind: Kind) -> Result<Rotation, TchError> {
        // [tokens, size / 2]
        let angles = positions
            .f_to_kind(Kind::Float)?
            .f_unsqueeze(-1)?
            .f_mul(&self.frequencies.f_to_device(positions.device())?)?;
        let (mut cosine, mut sine) = (angles.f_cos()?, angles.f_sin()?);
        if self.factor != 1.0 {
            cosine = cosine.f_mul_scalar(self.factor)?;
            sine = sine.f_mul_scalar(self.factor)?;
        }
        // The angles of far positions need all digits of f32; their cosines and sines do not.
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

    /// Rotates every head of `x`, `[tokens, heads, size]`, whose pairs are neighbouring elements.
    ///
    /// In the result the elements of a pair are half a head apart. That changes no attention score,
    /// because queries and keys are reordered alike.
    pub(super) fn apply_interleaved(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let shape = x.size();
        let pairs = x.f_reshape([shape[0], shape[1], -1, 2])?;
        self.apply(&pairs.f_transpose(2, 3)?.f_reshape(&shape)?)
    }
}

impl Yarn {
    /// The pairs between which frequencies go over from unchanged to divided (`find_correction_range`).
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
            // `transformers` treats 0 as absent.
            (None, Some(mscale), Some(all_dim)) if mscale != 0.0 && all_dim != 0.0 => {
                self.magnitude(mscale) / self.magnitude(all_dim)
            }
            _ => self.magnitude(1.0),
        }
    }

    /// Factor of the scores of latent attention, besides `1 / sqrt(size)`.
    pub(super) fn score_factor(&self) -> f64 {
        match self.mscale_all_dim {
            Some(mscale) if mscale != 0.0 => self.magnitude(mscale).powi(2),
            _ => 1.0,
        }
    }

    /// `0.1 * mscale * ln(factor) + 1` (`get_mscale`).
    fn magnitude(&self, mscale: f64) -> f64 {
        if self.factor <= 1.0 {
            return 1.0;
        }
        0.1 * mscale * self.factor.ln() + 1.0
    }
}

/// The share `kept`, from 0 to 1, of the frequency, and the rest of it divided by `factor`.
fn interpolate(frequency: f32, factor: f64, kept: f64) -> f32 {
    let (kept, factor) = (kept.clamp(0.0, 1.0) as f32, factor as f32);
    frequency / factor * (1.0 - kept) + frequency * kept
}

/// Applies `map` to the index and value of every element of a vector.
fn map_elements(
    vector: &Tensor,
    device: Device,
    map: impl Fn(usize, f32) -> f32,
) -> Result<Tensor, TchError> {
    let elements = Vec::<f32>::try_from(vector)?.into_iter().enumerate();
    let mapped: Vec<f32> = elements
        .map(|(index, element)| map(index, element))
        .collect();
    Tensor::f_from_slice(&mapped)?.f_to_device(device)
}
