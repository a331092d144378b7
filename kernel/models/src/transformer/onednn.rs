//! Weights in oneDNN's blocked layout, which libtorch supports on x86-64.
//!
//! A product of few tokens spends its time reading the weight. Neither MKL nor oneDNN reads a
//! row-major weight at the full bandwidth of the memory; oneDNN does read its own blocked layout that
//! fast. libtorch exposes it as `mkldnn::_reorder_linear_weight` and `mkldnn::_linear_pointwise`,
//! which `torch.compile` calls for frozen models. `tch` binds neither, so they are called through
//! libtorch's stable C interface (`torch/csrc/inductor/aoti_torch/c/shim.h`). They have no gradients.

use tch::{Device, Kind, Tensor};

use super::SharedTensor;

/// A weight of `f32` in blocked layout.
#[derive(Debug)]
pub(super) struct BlockedWeight(SharedTensor);

impl BlockedWeight {
    /// A blocked copy of `weight`, `[out_features, in_features]`; none if libtorch cannot make one.
    pub(super) fn new(weight: &Tensor) -> Option<Self> {
        let is_supported = weight.device() == Device::Cpu
            && weight.kind() == Kind::Float
            && tch::utils::has_mkldnn();
        if !is_supported {
            return None;
        }
        let _no_grad = tch::no_grad_guard();
        let blocked = ffi::reorder(&weight.f_contiguous().ok()?)?;
        Some(Self(SharedTensor::new(blocked)))
    }

    /// `x`, `[tokens, in_features]` in `f32`, times the transposed weight; none if libtorch fails,
    /// for example for lack of memory.
    pub(super) fn forward(&self, x: &Tensor) -> Option<Tensor> {
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
    use std::mem::ManuallyDrop;
    use std::ptr;

    use tch::Tensor;

    /// A heap-allocated `at::Tensor`, which is also what a `tch::Tensor` points to.
    type AtenTensorHandle = *mut c_void;

    unsafe extern "C" {
        /// Replaces the arguments of an operator on `stack` by its results. The operator takes
        /// ownership of the arguments, the caller of the results; an absent optional is 0.
        fn aoti_torch_call_dispatcher(
            operator: *const c_char,
            overload: *const c_char,
            stack: *mut u64,
        ) -> i32;

        /// `x` times the transpose of `weight`; the caller owns the result.
        fn aoti_torch_cpu__linear_pointwise(
            x: AtenTensorHandle,
            weight: AtenTensorHandle,
            bias: *mut AtenTensorHandle,
            activation: *const c_char,
            scalars: *mut *const f64,
            scalar_count: i64,
            algorithm: *mut *const c_char,
            result: *mut AtenTensorHandle,
        ) -> i32;
    }

    pub(super) fn reorder(weight: &Tensor) -> Option<Tensor> {
        let owned_by_operator = handle(ManuallyDrop::new(weight.shallow_clone()).as_ptr());
        // The second argument is the number of tokens to expect. With an unknown number (0), oneDNN
        // chose the layout that was fastest for every number of tokens.
        let mut stack = [owned_by_operator as u64, 0];
        // SAFETY: the operator takes a tensor and an optional integer. The tensor is a handle of its
        // own that nothing else frees, and the stack has room for the one result.
        let code = unsafe {
            aoti_torch_call_dispatcher(
                c"mkldnn::_reorder_linear_weight".as_ptr(),
                c"".as_ptr(),
                stack.as_mut_ptr(),
            )
        };
        // SAFETY: after a success the first element of the stack is a new handle that we own.
        (code == 0).then(|| unsafe { Tensor::from_ptr((stack[0] as *mut c_void).cast()) })
    }

    pub(super) fn linear(x: &Tensor, weight: &Tensor) -> Option<Tensor> {
        let mut result = ptr::null_mut();
        // SAFETY: both tensors outlive the call, which only reads them. The pointers to the bias,
        // to the activation's scalars and to its algorithm may be null if there are none.
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
        // SAFETY: after a success `result` is a new handle that we own.
        (code == 0).then(|| unsafe { Tensor::from_ptr(result.cast()) })
    }

    fn handle<T>(tensor: *const T) -> AtenTensorHandle {
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
    fn a_blocked_weight_gives_the_same_product() {
        tch::manual_seed(1);
        for (tokens, in_features, out_features) in
            [(1, 48, 64), (3, 7, 5), (16, 576, 1536), (200, 64, 100)]
        {
            let random = |rows| Tensor::randn([rows, in_features], (Kind::Float, Device::Cpu));
            let (x, weight) = (random(tokens), random(out_features));
            let plain = x.matmul(&weight.transpose(0, 1));
            let Some(blocked) = BlockedWeight::new(&weight) else {
                let is_supported = cfg!(all(target_os = "linux", target_arch = "x86_64"));
                assert!(!std::hint::black_box(is_supported), "x86-64 has blocks");
                return;
            };
            drop(weight);
            assert!(blocked.bytes() >= (out_features * in_features * 4) as u64);
            for _ in 0..2 {
                let product = blocked.forward(&x).unwrap();
                let difference = (&product - &plain).abs().max() / plain.abs().max();
                assert!(difference.double_value(&[]) < 1e-5, "{tokens} tokens");
            }
        }
    }

    #[test]
    fn weights_of_other_kinds_have_no_blocked_copy() {
        let weight = Tensor::zeros([4, 4], (Kind::BFloat16, Device::Cpu));
        assert!(BlockedWeight::new(&weight).is_none());
    }
}
