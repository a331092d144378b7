//! The matrix product that nearly all time goes into, by the fastest way for its size.

use tch::{Device, Kind, TchError, Tensor};

/// From this many tokens on, oneDNN is faster than MKL in spite of its conversions.
pub(super) const MANY_TOKENS: i64 = 32;
/// From this many outputs on (a vocabulary), it is so for any two tokens.
const MANY_OUTPUTS: i64 = 8192;
/// Up to this many tokens MKL makes one pass over the weights for each token.
const FEW_TOKENS: i64 = 3;

/// `x`, `[tokens, inputs]`, times the transpose of `weight`, `[outputs, inputs]`.
///
/// libtorch on CPUs sends `f32` products to MKL, which uses AVX-512 on Intel processors only;
/// oneDNN, in the same library, uses it everywhere, and was 2.1 times as fast at 512 tokens on an
/// EPYC 9005. Its tensors have a type of their own, with gradients. The results differ in the last bits.
pub(crate) fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor, TchError> {
    let (tokens, outputs) = (x.size2()?.0, weight.size2()?.0);
    let on_cpu = x.device() == Device::Cpu && x.kind() == Kind::Float;
    let many = tokens >= MANY_TOKENS || (tokens > 1 && outputs >= MANY_OUTPUTS);
    if on_cpu && many && tch::utils::has_mkldnn() {
        let x = x.f_to_mkldnn(None)?;
        return x
            .f_mkldnn_linear(weight, None::<&Tensor>)?
            .f_to_dense(None, false);
    }
    if on_cpu && (2..=FEW_TOKENS).contains(&tokens) {
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

    #[test]
    fn every_way_gives_the_product_and_its_gradients() {
        tch::manual_seed(1);
        for (tokens, outputs) in [(1, 64), (2, 64), (3, 64), (4, 64), (64, 64), (2, 8192)] {
            let random = |rows| Tensor::randn([rows, 48], (Kind::Float, Device::Cpu));
            let (x, weight) = (random(tokens), random(outputs));
            let by = |compute: &dyn Fn(&Tensor, &Tensor) -> Tensor| {
                let x = x.detach().set_requires_grad(true);
                let weight = weight.detach().set_requires_grad(true);
                let result = compute(&x, &weight);
                result.square().sum(Kind::Float).backward();
                (result.detach(), x.grad(), weight.grad())
            };
            let ours = by(&|x, weight| linear(x, weight).unwrap());
            let plain = by(&|x, weight| x.matmul(&weight.transpose(0, 1)));
            for (ours, plain) in [(ours.0, plain.0), (ours.1, plain.1), (ours.2, plain.2)] {
                let difference = (&ours - &plain).abs().max() / plain.abs().max();
                assert!(
                    difference.double_value(&[]) < 1e-5,
                    "{tokens} tokens, {outputs} outputs"
                );
            }
        }
    }
}
