//! The matrix of linear maps, in the layouts that products with it are fastest in.

use std::sync::OnceLock;

use tch::{Device, TchError, Tensor};

use super::SharedTensor;
use super::onednn::BlockedWeight;
use super::product::{MANY_TOKENS, linear};
use crate::device::free_memory;

/// Of the memory that is free on the host, what second copies may take: half is for the keys and
/// values of generation.
const SHARE_FOR_BLOCKS: f64 = 0.3;

/// A matrix, `[outputs, inputs]`, that is only multiplied with.
///
/// The first product of few tokens, as generation makes them, has a second copy made in blocks,
/// which all later products without gradients use. SmolLM2 on two cores of an EPYC 9005: 2.2 times
/// as fast with 16 tokens, 1.9 times with one (`tests/benchmarks/smollm2_speed.py`).
#[derive(Debug)]
pub(crate) struct LinearWeight {
    rows: SharedTensor,
    /// `None` inside where there is to be none.
    blocks: OnceLock<Option<BlockedWeight>>,
}

impl LinearWeight {
    pub(crate) fn new(weight: Tensor) -> Self {
        Self {
            rows: SharedTensor::new(weight),
            blocks: OnceLock::new(),
        }
    }

    /// It as it was read, `[outputs, inputs]`.
    pub(crate) fn tensor(&self) -> &SharedTensor {
        &self.rows
    }

    /// Lets no second copies of these be made if the host has too little memory for them.
    pub(crate) fn spare_memory<'a>(matrices: impl Iterator<Item = &'a Self> + Clone) {
        let matrices = matrices.filter(|matrix| matrix.rows.device() == Device::Cpu);
        let needed: u64 = matrices.clone().map(|matrix| matrix.rows.bytes()).sum();
        let free = free_memory(Device::Cpu).unwrap_or(0);
        if needed as f64 > free as f64 * SHARE_FOR_BLOCKS {
            matrices.for_each(Self::keep_in_rows);
        }
    }

    fn keep_in_rows(&self) {
        // Where there is a copy already, it stays.
        let _ = self.blocks.set(None);
    }

    /// Bytes of the second copy, if it was made.
    pub(crate) fn blocked_bytes(&self) -> u64 {
        let blocks = self.blocks.get().and_then(Option::as_ref);
        blocks.map_or(0, BlockedWeight::bytes)
    }

    /// `x`, `[tokens, inputs]`, times the transpose of the matrix.
    pub(crate) fn product(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let has_gradient = x.requires_grad() || self.rows.requires_grad();
        if !has_gradient
            && x.kind() == self.rows.kind()
            && let Some(blocks) = self.blocks(x.size2()?.0)
            && let Some(result) = blocks.product(x)
        {
            return Ok(result);
        }
        linear(x, &self.rows)
    }

    fn blocks(&self, tokens: i64) -> Option<&BlockedWeight> {
        let blocks = match self.blocks.get() {
            Some(blocks) => blocks,
            // A model that only reads is as fast without.
            None if tokens >= MANY_TOKENS => return None,
            None => self.blocks.get_or_init(|| BlockedWeight::of(&self.rows)),
        };
        blocks.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn the_first_product_of_few_tokens_makes_the_blocks() {
        let matrix = LinearWeight::new(Tensor::randn([64, 48], CPU));
        let many = Tensor::randn([MANY_TOKENS, 48], CPU);
        let before = matrix.product(&many).unwrap();
        assert_eq!(matrix.blocked_bytes(), 0);
        let few = matrix.product(&many.narrow(0, 0, 2)).unwrap();
        assert_eq!(
            matrix.blocked_bytes() > 0,
            cfg!(all(target_os = "linux", target_arch = "x86_64"))
        );
        let after = matrix.product(&many).unwrap();
        let difference = (before - &after).abs().max();
        assert!(difference.double_value(&[]) < 1e-4);
        let difference = (few - after.narrow(0, 0, 2)).abs().max();
        assert!(difference.double_value(&[]) < 1e-4);
    }

    #[test]
    fn gradients_go_through_the_rows() {
        let matrix = LinearWeight::new(Tensor::randn([3, 2], CPU));
        let _ = matrix.product(&Tensor::ones([1, 2], CPU)).unwrap();
        let x = Tensor::ones([1, 2], CPU).set_requires_grad(true);
        matrix.product(&x).unwrap().sum(Kind::Float).backward();
        let expected = matrix.tensor().sum_dim_intlist(0, false, Kind::Float);
        assert!(x.grad().view(-1).allclose(&expected, 1e-5, 1e-6, false));
    }

    #[test]
    fn where_memory_is_short_there_are_none() {
        // As large as all memory that there is, of one number.
        let whole = free_memory(Device::Cpu).unwrap() / 4;
        let large = LinearWeight::new(Tensor::ones([1], CPU).expand([whole as i64 / 2, 2], false));
        let matrices = [large, LinearWeight::new(Tensor::ones([3, 2], CPU))];
        LinearWeight::spare_memory(matrices.iter());
        let _ = matrices[1].product(&Tensor::ones([1, 2], CPU)).unwrap();
        assert_eq!(matrices[1].blocked_bytes(), 0);
    }
}
