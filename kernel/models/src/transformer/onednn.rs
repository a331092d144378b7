//! Weights in oneDNN's own layout, which libtorch has on x86-64.
//!
//! A product of few tokens spends its time on fetching the weights. In rows, as they are stored,
//! neither MKL nor oneDNN can fetch them as fast as the memory gives; blocked as oneDNN wants them
//! it can. libtorch has that as `mkldnn::_reorder_linear_weight` and `mkldnn::_linear_pointwise`,
//! which `torch.compile` calls for frozen models; `tch` binds neither, so they are called through
//! libtorch's stable C interface (`torch/csrc/inductor/aoti_torch/c/shim.h`). They have no
//! gradients.

use tch::{Device, Kind, Tensor};

use super::SharedTensor;

/// A matrix of `f32` in blocks.
#[derive(Debug)]
pub(super) struct BlockedWeight(SharedTensor);

impl BlockedWeight {
    /// Blocks of `weight`, `[outputs, inputs]`; `None` where libtorch cannot do that.
    pub(super) fn of(weight: &Tensor) -> Option<Self> {
        let can = weight.device() == Device::Cpu
            && weight.kind() == Kind::Float
            && tch::utils::has_mkldnn();
        if !can {
            return None;
        }
        let _no_grad = tch::no_grad_guard();
        ffi::reorder(&weight.f_contiguous().ok()?).map(|blocks| Self(SharedTensor::new(blocks)))
    }

    /// `x`, `[tokens, inputs]` in `f32`, times the transpose of the matrix; `None` where it fails,
    /// as for want of memory.
    pub(super) fn product(&self, x: &Tensor) -> Option<Tensor> {
        debug_assert!(!x.requires_grad(), "a blocked product has no gradient");
        ffi::linear(x, &self.0)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.bytes()
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod ffi {
    use std::ffi::{c_char, c_void};
    use std::ptr;

    use tch::Tensor;

    /// An `at::Tensor` on the heap, which is also what `tch` points to.
    type Handle = *mut c_void;

    unsafe extern "C" {
        /// Replaces the arguments of an operator on `stack` by its results. Arguments are given
        /// away, results are the caller's; an absent optional is 0.
        fn aoti_torch_call_dispatcher(
            operator: *const c_char,
            overload: *const c_char,
            stack: *mut u64,
        ) -> i32;

        /// `x` times the transpose of `weight`; the result is the caller's.
        fn aoti_torch_cpu__linear_pointwise(
            x: Handle,
            weight: Handle,
            bias: *mut Handle,
            activation: *const c_char,
            scalars: *mut *const f64,
            scalar_count: i64,
            algorithm: *mut *const c_char,
            result: *mut Handle,
        ) -> i32;
    }

    pub(super) fn reorder(weight: &Tensor) -> Option<Tensor> {
        // The second argument is the number of tokens to expect: unknown gives the layout that was
        // fastest for any number.
        let given_away = handle(std::mem::ManuallyDrop::new(weight.shallow_clone()).as_ptr());
        let mut stack = [given_away as u64, 0];
        // SAFETY: the operator takes a tensor and an optional integer; the tensor is a handle of
        // its own that nobody else will free, and the stack has room for the one result.
        let code = unsafe {
            aoti_torch_call_dispatcher(
                c"mkldnn::_reorder_linear_weight".as_ptr(),
                c"".as_ptr(),
                stack.as_mut_ptr(),
            )
        };
        // SAFETY: after a success the first place holds a new handle that is ours.
        (code == 0).then(|| unsafe { Tensor::from_ptr((stack[0] as *mut c_void).cast()) })
    }

    pub(super) fn linear(x: &Tensor, weight: &Tensor) -> Option<Tensor> {
        let mut result = ptr::null_mut();
        // SAFETY: both tensors live through the call, which only reads them; without a bias, an
        // activation, its numbers and its algorithm their pointers may be null.
        let code = unsafe {
            aoti_torch_cpu__linear_pointwise(
                handle(x.as_ptr()),
                handle(weight.as_ptr()),
                ptr::null_mut(),
                c"none".as_ptr(),
                ptr::null_mut(),
                0,
                ptr::null_mut(),
                &raw mut result,
            )
        };
        // SAFETY: after a success it is a new handle that is ours.
        (code == 0).then(|| unsafe { Tensor::from_ptr(result.cast()) })
    }

    fn handle<T>(tensor: *const T) -> Handle {
        tensor.cast::<c_void>().cast_mut()
    }
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
mod ffi {
    use tch::Tensor;

    pub(super) fn reorder(_: &Tensor) -> Option<Tensor> {
        None
    }

    pub(super) fn linear(_: &Tensor, _: &Tensor) -> Option<Tensor> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocked_products_are_products() {
        tch::manual_seed(1);
        for (tokens, inputs, outputs) in [(1, 48, 64), (3, 7, 5), (16, 576, 1536), (200, 64, 100)] {
            let random = |rows| Tensor::randn([rows, inputs], (Kind::Float, Device::Cpu));
            let (x, weight) = (random(tokens), random(outputs));
            let plain = x.matmul(&weight.transpose(0, 1));
            let Some(blocked) = BlockedWeight::of(&weight) else {
                let can = cfg!(all(target_os = "linux", target_arch = "x86_64"));
                assert!(!std::hint::black_box(can), "x86-64 has blocks");
                return;
            };
            drop(weight);
            assert!(blocked.bytes() >= (outputs * inputs * 4) as u64);
            for _ in 0..2 {
                let product = blocked.product(&x).unwrap();
                let difference = (&product - &plain).abs().max() / plain.abs().max();
                assert!(difference.double_value(&[]) < 1e-5, "{tokens} tokens");
            }
        }
    }

    #[test]
    fn other_numbers_stay_in_rows() {
        let weight = Tensor::zeros([4, 4], (Kind::BFloat16, Device::Cpu));
        assert!(BlockedWeight::of(&weight).is_none());
    }
}
