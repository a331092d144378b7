//! Weights of eight bits with one scale per square block (DeepSeek-V3).

use tch::{TchError, Tensor};

/// The value of a byte in E4M3 without infinities: sign, 4 bits of exponent (bias 7), 3 bits of
/// mantissa (<https://arxiv.org/abs/2209.05433>).
fn e4m3_to_f32(byte: u8) -> f32 {
    let (exponent, mantissa) = (i32::from(byte >> 3 & 15), f32::from(byte & 7));
    let magnitude = match (exponent, byte & 7) {
        (15, 7) => f32::NAN,
        (0, _) => mantissa / 8.0 * 2.0_f32.powi(-6),
        _ => (1.0 + mantissa / 8.0) * 2.0_f32.powi(exponent - 7),
    };
    if byte & 128 == 0 {
        magnitude
    } else {
        -magnitude
    }
}

/// Multiplies each element by the scale of its block; the result is `[rows, columns]` in `f32`.
///
/// `scales` is `[rows / block_size, columns / block_size]`, both rounded up, because the last
/// blocks may be incomplete.
pub(super) fn dequantize(
    bytes: &[u8],
    scales: &Tensor,
    block_size: i64,
    shape: &[i64],
) -> Result<Tensor, TchError> {
    let table: Vec<f32> = (0..=u8::MAX).map(e4m3_to_f32).collect();
    let elements: Vec<f32> = bytes.iter().map(|&byte| table[usize::from(byte)]).collect();
    let scales = scales
        .f_repeat_interleave_self_int(block_size, 0, None)?
        .f_narrow(0, 0, shape[0])?
        .f_repeat_interleave_self_int(block_size, 1, None)?
        .f_narrow(1, 0, shape[1])?;
    Tensor::f_from_slice(&elements)?
        .f_view(shape)?
        .f_mul(&scales)
}
