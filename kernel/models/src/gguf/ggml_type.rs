//! How the elements of a tensor are stored, and dequantising them to `f32`.
//!
//! Block layouts are those of `ggml-common.h` in llama.cpp. Values equal those of the `gguf` Python
//! package bit for bit.

use half::{bf16, f16};

/// Elements per quantised block (`QK4_1`, `QK8_0`).
const BLOCK_ELEMENTS: usize = 32;
/// A block of Q4_1: scale and minimum in `f16`, then 16 bytes of two elements each.
const Q4_1_BLOCK_BYTES: usize = 20;
/// A block of Q8_0: scale in `f16`, then 32 bytes of one element each.
const Q8_0_BLOCK_BYTES: usize = 34;

/// How the elements of a tensor are stored (`ggml_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GgmlType {
    /// 32-bit floats.
    F32,
    /// 16-bit IEEE floats.
    F16,
    /// 16-bit brain floats.
    Bf16,
    /// Blocks of 32 elements of 4 bits with a scale and a minimum in `f16`: `q * scale + minimum`.
    Q4_1,
    /// Blocks of 32 elements of 8 bits with a scale in `f16`: `q * scale`.
    Q8_0,
    /// Any other type, by its number in llama.cpp.
    Unknown(u32),
}

impl GgmlType {
    pub(super) fn from_code(code: u32) -> Self {
        match code {
            0 => Self::F32,
            1 => Self::F16,
            3 => Self::Q4_1,
            8 => Self::Q8_0,
            30 => Self::Bf16,
            code => Self::Unknown(code),
        }
    }

    /// Elements and bytes of a block (a single element if the type is not quantised); none if the
    /// type is unknown.
    pub(super) fn block(self) -> Option<(u64, u64)> {
        match self {
            Self::F32 => Some((1, 4)),
            Self::F16 | Self::Bf16 => Some((1, 2)),
            Self::Q4_1 => Some((BLOCK_ELEMENTS as u64, Q4_1_BLOCK_BYTES as u64)),
            Self::Q8_0 => Some((BLOCK_ELEMENTS as u64, Q8_0_BLOCK_BYTES as u64)),
            Self::Unknown(_) => None,
        }
    }

    /// Appends the elements in `bytes` to `elements`. Returns false if the type is unknown.
    pub(super) fn dequantize(self, bytes: &[u8], elements: &mut Vec<f32>) -> bool {
        match self {
            Self::F32 => {
                let (chunks, _) = bytes.as_chunks::<4>();
                elements.extend(chunks.iter().map(|&chunk| f32::from_le_bytes(chunk)));
            }
            Self::F16 => {
                let (chunks, _) = bytes.as_chunks::<2>();
                elements.extend(
                    chunks
                        .iter()
                        .map(|&chunk| f16::from_le_bytes(chunk).to_f32()),
                );
            }
            Self::Bf16 => {
                let (chunks, _) = bytes.as_chunks::<2>();
                elements.extend(
                    chunks
                        .iter()
                        .map(|&chunk| bf16::from_le_bytes(chunk).to_f32()),
                );
            }
            Self::Q4_1 => {
                for block in bytes.as_chunks::<Q4_1_BLOCK_BYTES>().0 {
                    elements.extend_from_slice(&dequantize_q4_1(block));
                }
            }
            Self::Q8_0 => {
                for block in bytes.as_chunks::<Q8_0_BLOCK_BYTES>().0 {
                    elements.extend_from_slice(&dequantize_q8_0(block));
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

/// The low nibbles are elements 0 to 15, the high nibbles elements 16 to 31.
fn dequantize_q4_1(block: &[u8; Q4_1_BLOCK_BYTES]) -> [f32; BLOCK_ELEMENTS] {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    let minimum = f16::from_le_bytes([block[2], block[3]]).to_f32();
    let mut elements = [0.0; BLOCK_ELEMENTS];
    let (low, high) = elements.split_at_mut(BLOCK_ELEMENTS / 2);
    for ((&pair, low), high) in block[4..].iter().zip(low).zip(high) {
        *low = f32::from(pair & 0x0f) * scale + minimum;
        *high = f32::from(pair >> 4) * scale + minimum;
    }
    elements
}

fn dequantize_q8_0(block: &[u8; Q8_0_BLOCK_BYTES]) -> [f32; BLOCK_ELEMENTS] {
    let scale = f16::from_le_bytes([block[0], block[1]]).to_f32();
    let mut elements = [0.0; BLOCK_ELEMENTS];
    for (&quantised, element) in block[2..].iter().zip(&mut elements) {
        *element = f32::from(quantised.cast_signed()) * scale;
    }
    elements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_q4_1_block_splits_into_low_and_high_nibbles() {
        let mut block = [0; Q4_1_BLOCK_BYTES];
        block[..2].copy_from_slice(&f16::from_f32(0.5).to_le_bytes());
        block[2..4].copy_from_slice(&f16::from_f32(-1.0).to_le_bytes());
        block[4] = 0xf2;
        let elements = dequantize_q4_1(&block);
        assert_eq!((elements[0], elements[16], elements[1]), (0.0, 6.5, -1.0));
    }

    #[test]
    fn a_q8_0_block_is_signed() {
        let mut block = [0; Q8_0_BLOCK_BYTES];
        block[..2].copy_from_slice(&f16::from_f32(0.25).to_le_bytes());
        block[2] = 0x80;
        block[33] = 0x7f;
        let elements = dequantize_q8_0(&block);
        assert_eq!(
            (elements[0], elements[1], elements[31]),
            (-32.0, 0.0, 31.75)
        );
    }
}
