//! The weight of a linear layer, in the memory layouts that products with it are fastest in, and the
//! fastest product for each number of tokens.

use std::sync::OnceLock;

use tch::{Device, Kind, TchError, Tensor};

use super::SharedTensor;
use super::onednn::BlockedWeight;
use crate::device::free_memory;

/// The share of the host's free memory that blocked copies may take; generation takes half of it
/// for keys and values.
const MAX_BLOCKED_SHARE: f64 = 0.3;
/// From this many tokens on, oneDNN is faster than MKL in spite of its conversions.
const ONEDNN_MIN_TOKENS: i64 = 32;
/// From this many output features on (a vocabulary), oneDNN is faster from two tokens on.
const ONEDNN_MIN_OUT_FEATURES: i64 = 8192;
/// Up to this many tokens, MKL reads the weight once per token unless the product is transposed.
const TRANSPOSED_MAX_TOKENS: i64 = 3;

/// A weight, `[out_features, in_features]`, that is only multiplied with.
///
/// The first product of few tokens, as decoding makes them, creates a second copy in oneDNN's blocked
/// layout, which all later products without gradients use. With SmolLM2 on two cores of an EPYC 9005
/// that is 2.2 times as fast for 16 tokens and 1.9 times for one (`tests/benchmarks/smollm2_speed.py`).
#[derive(Debug)]
pub(crate) struct LinearWeight {
    row_major: SharedTensor,
    /// Unset until the first product of few tokens; `None` inside if there is to be no copy.
    blocked: OnceLock<Option<BlockedWeight>>,
}

impl LinearWeight {
    pub(crate) fn new(weight: Tensor) -> Self {
        Self {
            row_major: SharedTensor::new(weight),
            blocked: OnceLock::new(),
        }
    }

    /// The weight as it was read, `[out_features, in_features]`.
    pub(crate) fn tensor(&self) -> &SharedTensor {
        &self.row_major
    }

    /// Forbids blocked copies of these weights if the host has too little memory for all of them.
    pub(crate) fn limit_blocked_copies<'a>(weights: impl Iterator<Item = &'a Self> + Clone) {
        let on_host = weights.filter(|weight| weight.row_major.device() == Device::Cpu);
        let needed: u64 = on_host.clone().map(|weight| weight.row_major.bytes()).sum();
        let free = free_memory(Device::Cpu).unwrap_or(0);
        if needed as f64 > free as f64 * MAX_BLOCKED_SHARE {
            on_host.for_each(Self::forbid_blocked_copy);
        }
    }

    fn forbid_blocked_copy(&self) {
        // Fails if there is a copy already, which then stays.
        let _ = self.blocked.set(None);
    }

    /// Bytes of the blocked copy; 0 if it was not made.
    pub(crate) fn blocked_bytes(&self) -> u64 {
        let blocked = self.blocked.get().and_then(Option::as_ref);
        blocked.map_or(0, BlockedWeight::bytes)
    }

    /// `x`, `[tokens, in_features]`, times the transposed weight: `[tokens, out_features]`.
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, TchError> {
        let has_gradient = x.requires_grad() || self.row_major.requires_grad();
        if !has_gradient
            && x.kind() == self.row_major.kind()
            && let Some(blocked) = self.blocked(x.size2()?.0)
            && let Some(output) = blocked.forward(x)
        {
            return Ok(output);
        }
        linear(x, &self.row_major)
    }

    fn blocked(&self, tokens: i64) -> Option<&BlockedWeight> {
        let blocked = match self.blocked.get() {
            Some(blocked) => blocked,
            // A model that only scores long texts is as fast without a copy.
            None if tokens >= ONEDNN_MIN_TOKENS => return None,
            None => self
                .blocked
                .get_or_init(|| BlockedWeight::new(&self.row_major)),
        };
        blocked.as_ref()
    }
}

/// `x`, `[tokens, in_features]`, times the transpose of `weight`, `[out_features, in_features]`:
/// `[tokens, out_features]`, like `torch.nn.functional.linear`.
///
/// On CPUs, libtorch sends `f32` products to MKL, which uses AVX-512 on Intel processors only.
/// oneDNN, which libtorch also contains, uses it on every processor; at 512 tokens on an EPYC 9005
/// it was 2.1 times as fast. oneDNN tensors are a layout of their own (`to_mkldnn`) that supports
/// gradients. The results differ in the last bits.
pub(crate) fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
    let (tokens, out_features) = (x.size2()?.0, weight.size2()?.0);
    let is_cpu_f32 = x.device() == Device::Cpu && x.kind() == Kind::Float;
    let onednn_is_faster =
        tokens >= ONEDNN_MIN_TOKENS || (tokens > 1 && out_features >= ONEDNN_MIN_OUT_FEATURES);
    if is_cpu_f32 && onednn_is_faster && tch::utils::has_mkldnn() {
        return x
            .f_to_mkldnn(None)?
            .f_mkldnn_linear(weight, None::<&Tensor>)?
            .f_to_dense(None, false);
    }
    if is_cpu_f32 && (2..=TRANSPOSED_MAX_TOKENS).contains(&tokens) {
        return weight
            .f_mm(&x.f_transpose(0, 1)?)?
            .f_transpose(0, 1)?
            .f_contiguous();
    }
    x.f_linear(weight, None::<&Tensor>)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);

    #[test]
    fn the_first_product_of_few_tokens_makes_the_blocked_copy() {
        let weight = LinearWeight::new(Tensor::randn([64, 48], CPU));
        let many = Tensor::randn([ONEDNN_MIN_TOKENS, 48], CPU);
        let before = weight.forward(&many).unwrap();
        assert_eq!(weight.blocked_bytes(), 0);
        let few = weight.forward(&many.narrow(0, 0, 2)).unwrap();
        assert_eq!(
            weight.blocked_bytes() > 0,
            cfg!(all(target_os = "linux", target_arch = "x86_64"))
        );
        let after = weight.forward(&many).unwrap();
        let difference = (before - &after).abs().max();
        assert!(difference.double_value(&[]) < 1e-4);
        let difference = (few - after.narrow(0, 0, 2)).abs().max();
        assert!(difference.double_value(&[]) < 1e-4);
    }

    #[test]
    fn gradients_flow_in_spite_of_a_blocked_copy() {
        let weight = LinearWeight::new(Tensor::randn([3, 2], CPU));
        let _ = weight.forward(&Tensor::ones([1, 2], CPU)).unwrap();
        let x = Tensor::ones([1, 2], CPU).set_requires_grad(true);
        weight.forward(&x).unwrap().sum(Kind::Float).backward();
        let expected = weight.tensor().sum_dim_intlist(0, false, Kind::Float);
        assert!(x.grad().view(-1).allclose(&expected, 1e-5, 1e-6, false));
    }

    #[test]
    fn no_blocked_copies_are_made_if_memory_is_short() {
        // Claims the size of all free memory; the one element is expanded.
        let free_elements = free_memory(Device::Cpu).unwrap() / 4;
        let huge = Tensor::ones([1], CPU).expand([free_elements as i64 / 2, 2], false);
        let weights = [huge, Tensor::ones([3, 2], CPU)].map(LinearWeight::new);
        LinearWeight::limit_blocked_copies(weights.iter());
        let _ = weights[1].forward(&Tensor::ones([1, 2], CPU)).unwrap();
        assert_eq!(weights[1].blocked_bytes(), 0);
    }

    #[test]
    fn every_algorithm_gives_the_product_and_its_gradients() {
        tch::manual_seed(1);
        for (tokens, out_features) in [(1, 64), (2, 64), (3, 64), (4, 64), (64, 64), (2, 8192)] {
            let random = |rows| Tensor::randn([rows, 48], CPU);
            let (x, weight) = (random(tokens), random(out_features));
            let run = |product: &dyn Fn(&Tensor, &Tensor) -> Tensor| {
                let x = x.detach().set_requires_grad(true);
                let weight = weight.detach().set_requires_grad(true);
                let output = product(&x, &weight);
                output.square().sum(Kind::Float).backward();
                (output.detach(), x.grad(), weight.grad())
            };
            let ours = run(&|x, weight| linear(x, weight).unwrap());
            let plain = run(&|x, weight| x.matmul(&weight.transpose(0, 1)));
            for (ours, plain) in [(ours.0, plain.0), (ours.1, plain.1), (ours.2, plain.2)] {
                let difference = (&ours - &plain).abs().max() / plain.abs().max();
                assert!(
                    difference.double_value(&[]) < 1e-5,
                    "{tokens} tokens, {out_features} output features"
                );
            }
        }
    }
}
