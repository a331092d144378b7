//! Tensors that are shared between threads.

use std::ops::Deref;

use tch::Tensor;

/// A tensor that is only read once it is shared.
pub(crate) struct SharedTensor(Tensor);

// SAFETY: `tch::Tensor` is not `Sync` because its in-place methods write through shared storage.
// A `SharedTensor` hands out `&Tensor` only, in-place methods need `&mut Tensor`, and the one place that
// writes to a weight's storage (the optimizer, before anyone else has the adapter) owns it alone.
// Reading a tensor, its reference count included, is thread-safe in libtorch.
unsafe impl Sync for SharedTensor {}

impl SharedTensor {
    pub(crate) fn new(tensor: Tensor) -> Self {
        Self(tensor)
    }

    /// Bytes of the numbers.
    pub(crate) fn bytes(&self) -> u64 {
        (self.0.numel() * self.0.kind().elt_size_in_bytes()) as u64
    }
}

impl Deref for SharedTensor {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.0
    }
}

impl std::fmt::Debug for SharedTensor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{:?} {:?}", self.0.kind(), self.0.size())
    }
}
