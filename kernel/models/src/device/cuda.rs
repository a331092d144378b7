//! libtorch's CUDA library.
//!
//! Our programs link `libtorch_cpu.so` only, so that one build serves machines with and without a
//! GPU. `libtorch_cuda.so` registers itself with it when it is loaded, and that must be before
//! anything asks for CUDA: libtorch looks once and remembers
//! (`aten/src/ATen/detail/CUDAHooksInterface.cpp`).

use std::ffi::{CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// GPUs of this machine; 0 also where libtorch has no CUDA library or the driver is missing.
pub(super) fn device_count() -> usize {
    match library() {
        None => 0,
        Some(_) => usize::try_from(tch::Cuda::device_count()).unwrap_or(0),
    }
}

/// Bytes of memory of a GPU that are free, and all of them; `None` where CUDA does not say.
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
    // SAFETY: these are the symbols of the CUDA runtime that `libtorch_cuda.so` itself links, and
    // the types are those of its header `cuda_runtime_api.h`.
    let (set, get, info) = unsafe {
        (
            std::mem::transmute::<*mut c_void, SetDevice>(set),
            std::mem::transmute::<*mut c_void, GetDevice>(get),
            std::mem::transmute::<*mut c_void, MemGetInfo>(info),
        )
    };
    let (mut before, mut free, mut total) = (0, 0, 0);
    // SAFETY: every pointer is to a local variable of the type that the function writes. The
    // current device, which libtorch also uses, is put back.
    let done = unsafe {
        get(&raw mut before) == 0 && set(index) == 0 && {
            let asked = info(&raw mut free, &raw mut total);
            set(before) == 0 && asked == 0
        }
    };
    done.then_some((free as u64, total as u64))
}

/// The loaded library, which stays loaded.
struct Library(*mut c_void);

// SAFETY: a handle of `dlopen` may be used from any thread.
unsafe impl Send for Library {}
// SAFETY: as above; `dlsym` does not change it.
unsafe impl Sync for Library {}

/// Loads the library if it is there and has not been loaded.
fn library() -> Option<&'static Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    LIBRARY
        .get_or_init(|| Library::open(&beside_libtorch()?))
        .as_ref()
}

impl Library {
    fn open(path: &Path) -> Option<Self> {
        let name = CString::new(path.as_os_str().as_bytes()).ok()?;
        // SAFETY: loading runs the library's initialisers, which register it with libtorch; it
        // belongs to the libtorch that this process runs with. Its symbols are global because
        // the libraries that it loads in turn expect them to be.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
        (!handle.is_null()).then_some(Self(handle))
    }

    /// The address of a symbol of the library, or of one that it links.
    fn symbol(&self, name: &std::ffi::CStr) -> Option<*mut c_void> {
        // SAFETY: the handle is one of `dlopen` and the name ends with a zero.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr().cast::<c_char>()) };
        (!address.is_null()).then_some(address)
    }
}

/// `libtorch_cuda.so` in the folder of the `libtorch_cpu.so` that this process runs with.
fn beside_libtorch() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let library = loaded_from(&maps, "libtorch_cpu.so")?.with_file_name("libtorch_cuda.so");
    library.is_file().then_some(library)
}

/// The path of a loaded library, out of the text of `/proc/self/maps`.
fn loaded_from(maps: &str, library: &str) -> Option<PathBuf> {
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
    fn the_folder_of_libtorch_is_read_off_the_memory_map() {
        let maps = "7f00-7f01 r--p 00000000 08:01 11  /usr/lib/libc.so.6\n\
                    7f02-7f03 r-xp 00001000 08:01 12  /opt/py thon/torch/lib/libtorch_cpu.so\n\
                    7f04-7f05 rw-p 00000000 00:00 0\n";
        assert_eq!(
            loaded_from(maps, "libtorch_cpu.so").unwrap(),
            Path::new("/opt/py thon/torch/lib/libtorch_cpu.so")
        );
        assert!(loaded_from(maps, "libtorch_cuda.so").is_none());
        // This process has libtorch.
        tch::get_num_threads();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        assert!(loaded_from(&maps, "libtorch_cpu.so").is_some());
    }

    #[test]
    fn the_library_registers_itself_with_libtorch() {
        let Some(path) = beside_libtorch() else {
            offmodel_support::testing::skip("no CUDA library in this libtorch");
            return;
        };
        assert!(library().is_some(), "{} does not load", path.display());
        let options = (tch::Kind::Float, tch::Device::Cuda(0));
        if let Err(error) = tch::Tensor::f_zeros([1], options) {
            // Without a GPU: the words of the library, not of libtorch without it.
            let error = error.to_string();
            assert!(
                error.contains("NVIDIA driver") || error.contains("CUDA error"),
                "{error}"
            );
        }
    }

    #[test]
    fn there_is_no_memory_on_a_gpu_that_does_not_exist() {
        assert!(memory(device_count()).is_none());
    }
}
