//! The memory bound of the key-value cache, and how libtorch reports that memory has run out.

use tch::{Device, TchError};

use crate::device::free_memory;

/// The part of a CPU's free memory that the cache may take. The rest is for the tensors of a
/// forward pass and for other programs.
const SHARE_OF_CPU_MEMORY: f64 = 0.5;
/// The part of a GPU's free memory that the cache may take. The rest is for the tensors of a
/// forward pass.
const SHARE_OF_GPU_MEMORY: f64 = 0.8;
/// The bound where the free memory cannot be determined.
const FALLBACK_MAX_BYTES: u64 = 4 << 30;

/// Bytes that the cache may take on `device`, unless the caller sets a limit.
pub(super) fn default_max_bytes(device: Device) -> u64 {
    let share = match device {
        Device::Cuda(_) => SHARE_OF_GPU_MEMORY,
        _ => SHARE_OF_CPU_MEMORY,
    };
    free_memory(device).map_or(FALLBACK_MAX_BYTES, |bytes| (bytes as f64 * share) as u64)
}

/// Makes glibc keep memory that a forward pass frees, for the next pass.
///
/// Returning it to the kernel and faulting it in again took 7 % of the time of sampling 16
/// sequences of SmolLM2.
pub(super) fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const TRIM_THRESHOLD_BYTES: libc::c_int = 256 << 20;
        // The largest threshold that glibc accepts.
        const MMAP_THRESHOLD_BYTES: libc::c_int = 32 << 20;
        // SAFETY: `mallopt` sets two parameters of the allocator under the allocator's own lock.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES);
            libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
        }
    }
}

/// Whether libtorch failed because memory ran out, on a GPU or on the CPU.
///
/// libtorch has no error code for that, so the message decides.
pub(super) fn is_out_of_memory(error: &TchError) -> bool {
    const MESSAGES: [&str; 6] = [
        // CUDA's allocator
        "out of memory",
        "cublas_status_alloc_failed",
        "cudnn_status_alloc_failed",
        // the CPU's allocator
        "can't allocate memory",
        "not enough memory",
        // the C++ standard library
        "bad_alloc",
    ];
    let (TchError::Torch(message) | TchError::Kind(message) | TchError::Shape(message)) = error
    else {
        return false;
    };
    let message = message.to_lowercase();
    MESSAGES.iter().any(|part| message.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    #[test]
    fn out_of_memory_is_distinguished_from_other_errors_of_libtorch() {
        let options = (Kind::Float, Device::Cpu);
        // More than the address space of any machine.
        let error = Tensor::f_zeros([1 << 46], options).unwrap_err();
        assert!(is_out_of_memory(&error), "{error}");
        // As libtorch 2.11 reports it on a GPU.
        let cuda = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.25 GiB of which 3.12 GiB is free.";
        assert!(is_out_of_memory(&TchError::Torch(cuda.to_owned())));
        let two = Tensor::zeros([2], options);
        let error = two.f_add(&Tensor::zeros([3], options)).unwrap_err();
        assert!(!is_out_of_memory(&error), "{error}");
    }

    #[test]
    fn the_default_bound_on_the_cpu_is_a_plausible_part_of_its_memory() {
        let bytes = default_max_bytes(Device::Cpu);
        assert!((1 << 20..1 << 48).contains(&bytes), "{bytes}");
    }
}
