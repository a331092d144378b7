//! Weights that threads share.

use std::ops::Deref;

use tch::Tensor;

/// A tensor that is only read, so that several threads may compute with it.
pub(crate) struct SharedTensor(Tensor);

// SAFETY: `tch::Tensor` is not `Sync` because its in-place methods write through shared storage.
// A `SharedTensor` hands out `&Tensor` only, and in-place methods need `&mut Tensor`. The optimizer,
// the one place that writes to the storage of a weight, does so while no other thread has the
// adapter. Reading a tensor, including its reference count, is thread-safe in libtorch.
unsafe impl Sync for SharedTensor {}

impl SharedTensor {
    pub(crate) fn new(tensor: Tensor) -> Self {
        Self(tensor)
    }

    /// Bytes of the tensor's elements.
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

/// A weight outside the linear layers (an embedding, a norm, a scale) and its name in the checkpoint.
pub(super) struct Parameter {
    pub(super) name: String,
    tensor: SharedTensor,
    /// The number that was added to the checkpoint's values when they were read; saving subtracts
    /// it again.
    pub(super) offset: f64,
}

impl Parameter {
    pub(super) fn new(name: &str, tensor: Tensor) -> Self {
        Self::with_offset(name, tensor, 0.0)
    }

    /// A parameter whose `tensor` holds the checkpoint's values plus `offset`.
    pub(super) fn with_offset(name: &str, tensor: Tensor, offset: f64) -> Self {
        Self {
            name: name.to_owned(),
            tensor: SharedTensor::new(tensor),
            offset,
        }
    }

    pub(super) fn tensor(&self) -> &SharedTensor {
        &self.tensor
    }
}

impl Deref for Parameter {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}
