//! How much memory responses in progress may take, and how libtorch says that there is none left.

use tch::{Device, TchError};

use crate::device::free_memory;

/// Of the memory that is free, what the cache may take; the rest is for a pass's own tensors and
/// for everyone else.
const SHARE_OF_HOST: f64 = 0.5;
const SHARE_OF_GPU: f64 = 0.8;
/// Where nothing is known about the memory.
const UNKNOWN: u64 = 4 << 30;

/// Bytes that the cache may take on this device.
pub(super) fn cache_limit(device: Device) -> u64 {
    let share = match device {
        Device::Cuda(_) => SHARE_OF_GPU,
        _ => SHARE_OF_HOST,
    };
    free_memory(device).map_or(UNKNOWN, |bytes| (bytes as f64 * share) as u64)
}

/// Lets the C library keep memory that a pass gives back, for the next pass: to fetch it from the
/// system each time took 7 of 100 parts of the time of sampling 16 rows of SmolLM2.
pub(super) fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const KEPT: libc::c_int = 256 << 20;
        // The most that the library allows.
        const LARGEST_KEPT: libc::c_int = 32 << 20;
        // SAFETY: this sets two numbers of the allocator, under its own lock.
        unsafe {
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
            libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_KEPT);
        }
    }
}

/// Whether libtorch failed because the memory of a device, or of the host, is full.
pub(super) fn is_out_of_memory(error: &TchError) -> bool {
    // The words of CUDA's allocator, cuBLAS and cuDNN, of the CPU's allocator, and of C++.
    const WORDS: [&str; 6] = [
        "out of memory",
        "cublas_status_alloc_failed",
        "cudnn_status_alloc_failed",
        "can't allocate memory",
        "not enough memory",
        "bad_alloc",
    ];
    let (TchError::Torch(message) | TchError::Kind(message) | TchError::Shape(message)) = error
    else {
        return false;
    };
    let message = message.to_lowercase();
    WORDS.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    #[test]
    fn libtorch_running_out_of_memory_is_told_from_other_errors() {
        // More than any machine's address space has.
        let options = (Kind::Float, Device::Cpu);
        let error = Tensor::f_zeros([1 << 46], options).unwrap_err();
        assert!(is_out_of_memory(&error), "{error}");
        // As of libtorch 2.11 on a GPU.
        let cuda = "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of 79.25 GiB of which 3.12 GiB is free.";
        assert!(is_out_of_memory(&TchError::Torch(cuda.to_owned())));
        let two = Tensor::zeros([2], options);
        let error = two.f_add(&Tensor::zeros([3], options)).unwrap_err();
        assert!(!is_out_of_memory(&error), "{error}");
    }

    #[test]
    fn the_limit_on_the_host_is_a_part_of_what_is_free() {
        let limit = cache_limit(Device::Cpu);
        assert!((1 << 20..1 << 48).contains(&limit), "{limit}");
    }
}
