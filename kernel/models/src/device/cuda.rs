//! libtorch's CUDA library, loaded at run time.
//!
//! Our programs link `libtorch_cpu.so` only, so that one build serves machines with and without a
//! GPU. Loading `libtorch_cuda.so` registers CUDA with `libtorch_cpu.so`. That must happen before any
//! use of CUDA, because libtorch looks for the registration once and caches what it finds
//! (`aten/src/ATen/detail/CUDAHooksInterface.cpp`).

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Number of GPUs; also 0 if libtorch has no CUDA library or the driver is missing.
pub(super) fn device_count() -> usize {
    match library() {
        None => 0,
        Some(_) => usize::try_from(tch::Cuda::device_count()).unwrap_or(0),
    }
}

/// Free and total bytes of a GPU's memory; none if CUDA does not report them.
pub(super) fn memory(index: usize) -> Option<(u64, u64)> {
    type SetDevice = unsafe extern "C" fn(c_int) -> c_int;
    type GetDevice = unsafe extern "C" fn(*mut c_int) -> c_int;
    type MemGetInfo = unsafe extern "C" fn(*mut usize, *mut usize) -> c_int;
    let library = library()?;
    let index = c_int::try_from(index).ok()?;
    let (set, get, info) = (
        library.symbol(c"cudaSetDevice")?,
        library.symbol(c"cudaGetDevice")?,
        library.symbol(c"cudaMemGetInfo")?,
    );
    // SAFETY: the symbols are those of the CUDA runtime that `libtorch_cuda.so` links, and the types
    // are those of its header `cuda_runtime_api.h`.
    let (set, get, info) = unsafe {
        (
            std::mem::transmute::<*mut c_void, SetDevice>(set),
            std::mem::transmute::<*mut c_void, GetDevice>(get),
            std::mem::transmute::<*mut c_void, MemGetInfo>(info),
        )
    };
    let (mut previous, mut free, mut total) = (0, 0, 0);
    // SAFETY: every pointer is to a local variable of the type that the function writes. The
    // current device, which libtorch uses too, is restored.
    let succeeded = unsafe {
        get(&raw mut previous) == 0 && set(index) == 0 && {
            let code = info(&raw mut free, &raw mut total);
            set(previous) == 0 && code == 0
        }
    };
    succeeded.then_some((free as u64, total as u64))
}

/// A loaded library, which is never unloaded.
struct Library(*mut c_void);

// SAFETY: a handle from `dlopen` may be used on any thread.
unsafe impl Send for Library {}
// SAFETY: a handle from `dlopen` may be used on several threads at once: `dlsym` does not change it.
unsafe impl Sync for Library {}

/// libtorch's CUDA library, loaded by the first call; none if it is missing or does not load.
fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    LIBRARY
        .get_or_init(|| Library::open(&library_path()?))
        .as_ref()
}

impl Library {
    fn open(path: &Path) -> Option<Self> {
        let name = CString::new(path.as_os_str().as_bytes()).ok()?;
        // SAFETY: loading runs the library's initialisers, which register it with libtorch. It is
        // part of the same libtorch that this process runs with. Its symbols are global because the
        // libraries that it loads in turn need them.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        (!handle.is_null()).then_some(Self(handle))
    }

    /// The address of a symbol in the library or in one that it links.
    fn symbol(&self, name: &std::ffi::CStr) -> Option<*mut c_void> {
        // SAFETY: the handle comes from `dlopen`, and a `CStr` ends with a zero byte.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr().cast::<c_char>()) };
        (!address.is_null()).then_some(address)
    }
}

/// `libtorch_cuda.so` in the folder of the `libtorch_cpu.so` that this process runs with.
fn library_path() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let library = loaded_library(&maps, "libtorch_cpu.so")?.with_file_name("libtorch_cuda.so");
    library.is_file().then_some(library)
}

/// The path of a loaded library, from the text of `/proc/self/maps`.
fn loaded_library(maps: &str, library: &str) -> Option<PathBuf> {
    let paths = maps
        .lines()
        .filter_map(|line| line.find('/').map(|start| &line[start..]));
    let mut paths = paths.map(Path::new);
    let found = paths.find(|path| path.file_name().is_some_and(|name| name == library))?;
    Some(found.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_loaded_library_is_found_in_the_memory_map() {
        let maps = "7f00-7f01 r--p 00000000 08:01 11  /usr/lib/libc.so.6\n\
                    7f02-7f03 r-xp 00001000 08:01 12  /opt/py thon/torch/lib/libtorch_cpu.so\n\
                    7f04-7f05 rw-p 00000000 00:00 0\n";
        assert_eq!(
            loaded_library(maps, "libtorch_cpu.so").unwrap(),
            Path::new("/opt/py thon/torch/lib/libtorch_cpu.so")
        );
        assert!(loaded_library(maps, "libtorch_cuda.so").is_none());
        // Calling libtorch makes sure that it is loaded.
        tch::get_num_threads();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(loaded_library(&maps, "libtorch_cpu.so").is_some());
    }

    #[test]
    fn the_cuda_library_registers_itself_with_libtorch() {
        let Some(path) = library_path() else {
            offmodel_support::testing::skip("no CUDA library in this libtorch");
            return;
        };
        assert!(library().is_some(), "{} does not load", path.display());
        let options = (tch::Kind::Float, tch::Device::Cuda(0));
        if let Err(error) = tch::Tensor::f_zeros([1], options) {
            // Without a GPU the message is that of the CUDA library, not of a libtorch without it.
            let error = error.to_string();
            assert!(
                error.contains("NVIDIA driver") || error.contains("CUDA error"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_gpu_that_does_not_exist_reports_no_memory() {
        assert!(memory(device_count()).is_none());
    }
}
