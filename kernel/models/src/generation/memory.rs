//! How much memory responses in progress may take, and how libtorch says that there is none left.

use tch::{Device, TchError};

/// Of the memory that is free, what the cache may take; the rest is for a pass's own tensors and
/// for everyone else.
const SHARE_OF_HOST: f64 = 0.5;
const SHARE_OF_GPU: f64 = 0.8;
/// Where nothing is known about the memory.
const UNKNOWN: u64 = 4 << 30;

/// Bytes that the cache may take on this device.
pub(super) fn cache_limit(device: Device) -> u64 {
    let (free, share) = match device {
        Device::Cuda(index) => (free_on_gpu(index), SHARE_OF_GPU),
        _ => (free_on_host(), SHARE_OF_HOST),
    };
    free.map_or(UNKNOWN, |bytes| (bytes as f64 * share) as u64)
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

/// What the machine has free, or less where a control group allows less.
fn free_on_host() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let free = available(&text)?;
    let group = |name: &str| {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let (Some(most), Some(current)) = (group("memory.max"), group("memory.current")) else {
        return Some(free);
    };
    Some(free.min(most.saturating_sub(current)))
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// What CUDA's runtime, which libtorch has loaded if it uses a GPU, says is free there.
fn free_on_gpu(index: usize) -> Option<u64> {
    type DeviceOf = unsafe extern "C" fn(*mut libc::c_int) -> libc::c_int;
    type SetDevice = unsafe extern "C" fn(libc::c_int) -> libc::c_int;
    type MemoryOf = unsafe extern "C" fn(*mut usize, *mut usize) -> libc::c_int;
    let index = libc::c_int::try_from(index).ok()?;
    let mut names = [c"libcudart.so.13", c"libcudart.so.12"].into_iter();
    // SAFETY: the names are C strings; RTLD_NOLOAD runs no code of a library.
    let library = names.find_map(|name| unsafe {
        let library = libc::dlopen(name.as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY);
        (!library.is_null()).then_some(library)
    })?;
    let symbol = |name: &std::ffi::CStr| {
        // SAFETY: the library is open, and stays so: libtorch uses it until the process ends.
        let symbol = unsafe { libc::dlsym(library, name.as_ptr()) };
        (!symbol.is_null()).then_some(symbol)
    };
    let (get, set, memory) = (
        symbol(c"cudaGetDevice")?,
        symbol(c"cudaSetDevice")?,
        symbol(c"cudaMemGetInfo")?,
    );
    // SAFETY: these are the signatures of CUDA's runtime API, where an enum is an int; it writes
    // to the numbers before it returns, and the thread's device is set back.
    unsafe {
        let get = std::mem::transmute::<*mut libc::c_void, DeviceOf>(get);
        let set = std::mem::transmute::<*mut libc::c_void, SetDevice>(set);
        let memory = std::mem::transmute::<*mut libc::c_void, MemoryOf>(memory);
        let mut before = 0;
        if get(&raw mut before) != 0 || set(index) != 0 {
            return None;
        }
        let (mut free, mut total) = (0, 0);
        let status = memory(&raw mut free, &raw mut total);
        set(before);
        (status == 0).then_some(free as u64)
    }
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
        let meminfo = "MemTotal:       24634384 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(available(meminfo), Some(23_000_000 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert_eq!(available("MemAvailable: many kB\n"), None);
        let limit = cache_limit(Device::Cpu);
        assert!((1 << 20..1 << 48).contains(&limit), "{limit}");
    }
}
