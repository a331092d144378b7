//! How the weights of a tensor are stored, and decoding them to `f32`.
//!
//! Block layouts after `ggml-common.h` of llama.cpp; values are equal, bit for bit, to those of
//! the `gguf` Python package.

use half::{bf16, f16};

/// Weights per quantised block.
const BLOCK: usize = 32;

/// How the weights of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GgmlType {
    /// 32-bit floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// 16-bit brain floats.
    Bf16,
    /// Blocks of 32 weights of 4 bits with an `f16` scale and minimum: `q * scale + minimum`.
    Q4_1,
    /// Blocks of 32 weights of 8 bits with an `f16` scale: `q * scale`.
    Q8_0,
    /// Anything else, by its `ggml_type` number.
    Unknown(u32),
}

impl GgmlType {
    pub(super) fn of(code: u32) -> Self {
        match code {
            0 => Self::F32,
            1 => Self::F16,
            3 => Self::Q4_1,
            8 => Self::Q8_0,
            30 => Self::Bf16,
            code => Self::Unknown(code),
        }
    }

    /// Weights and bytes of the smallest unit; `None` where the encoding is unknown.
    pub(super) fn unit(self) -> Option<(u64, u64)> {
        match self {
            Self::F32 => Some((1, 4)),
            Self::F16 | Self::Bf16 => Some((1, 2)),
            Self::Q4_1 => Some((BLOCK as u64, 20)),
            Self::Q8_0 => Some((BLOCK as u64, 34)),
            Self::Unknown(_) => None,
        }
    }

    /// Appends the weights in `bytes` to `weights`; `false` where the encoding is unknown.
    pub(super) fn decode(self, bytes: &[u8], weights: &mut Vec<f32>) -> bool {
        match self {
            Self::F32 => weights.extend(
                bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|&weight| f32::from_le_bytes(weight)),
            ),
            Self::F16 => weights.extend(
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|&weight| f16::from_le_bytes(weight).to_f32()),
            ),
            Self::Bf16 => weights.extend(
                bytes
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|&weight| bf16::from_le_bytes(weight).to_f32()),
            ),
            Self::Q4_1 => {
                for block in bytes.as_chunks::<20>().0 {
                    weights.extend_from_slice(&decode_q4_1(block));
                }
            }
            Self::Q8_0 => {
                for block in bytes.as_chunks::<34>().0 {
                    weights.extend_from_slice(&decode_q8_0(block));
                }
            }
            Self::Unknown(_) => return false,
        }
        true
    }
}

impl std::fmt::Display for GgmlType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Self::F32 => formatter.write_str("F32"),
            Self::F16 => formatter.write_str("F16"),
            Self::Bf16 => formatter.write_str("BF16"),
            Self::Q4_1 => formatter.write_str("Q4_1"),
            Self::Q8_0 => formatter.write_str("Q8_0"),
            Self::Unknown(code) => write!(formatter, "ggml type {code}"),
        }
    }
}

/// Low nibbles are weights 0 to 15, high nibbles are weights 16 to 31.
fn decode_q4_1(block: &[u8; 20]) -> [f32; BLOCK] {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    let minimum = f16::from_le_bytes([block[2], block[3]]).to_f32();
    let mut weights = [0.0; BLOCK];
    let (low, high) = weights.split_at_mut(BLOCK / 2);
    for ((&pair, low), high) in block[4..].iter().zip(low).zip(high) {
        *low = f32::from(pair & 0x0f) * scale + minimum;
        *high = f32::from(pair >> 4) * scale + minimum;
    }
    weights
}

fn decode_q8_0(block: &[u8; 34]) -> [f32; BLOCK] {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    let mut weights = [0.0; BLOCK];
    for (&quantised, weight) in block[2..].iter().zip(&mut weights) {
        *weight = f32::from(quantised.cast_signed()) * scale;
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_q4_1_block_splits_into_low_and_high_nibbles() {
        let mut block = [0; 20];
        block[..2].copy_from_slice(&f16::from_f32(0.5).to_le_bytes());
        block[2..4].copy_from_slice(&f16::from_f32(-1.0).to_le_bytes());
        block[4] = 0xf2;
        let weights = decode_q4_1(&block);
        assert_eq!((weights[0], weights[16], weights[1]), (0.0, 6.5, -1.0));
    }

    #[test]
    fn a_q8_0_block_is_signed() {
        let mut block = [0; 34];
        block[..2].copy_from_slice(&f16::from_f32(0.25).to_le_bytes());
        block[2] = 0x80;
        block[33] = 0x7f;
        let weights = decode_q8_0(&block);
        assert_eq!((weights[0], weights[1], weights[31]), (-32.0, 0.0, 31.75));
    }
}
