//! How much memory devices have left.

use tch::Device;

use super::cuda;

/// Shares of the free memory of a GPU that weights may take: the rest is for keys and values,
/// activations and libtorch itself.
const SHARE: f64 = 0.85;

/// A device and how many bytes of weights it has room for; `None` where that is not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Room {
    pub(crate) device: Device,
    pub(crate) bytes: Option<u64>,
}

impl std::fmt::Display for Room {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.bytes {
            Some(bytes) => write!(formatter, "{:.1} GB on {:?}", bytes as f64 / 1e9, self.device),
            None => write!(formatter, "an unknown amount on {:?}", self.device),
        }
    }
}

/// The room of each device now.
pub(crate) fn rooms(devices: &[Device]) -> Vec<Room> {
    let room = |&device: &Device| Room {
        device,
        bytes: match device {
            Device::Cuda(index) => cuda::memory(index).map(|(free, _)| (free as f64 * SHARE) as u64),
            Device::Cpu => available(),
            Device::Mps | Device::Vulkan => None,
        },
    };
    devices.iter().map(room).collect()
}

/// Bytes of main memory that can be had without swapping.
fn available() -> Option<u64> {
    available_in(&std::fs::read_to_string("/proc/meminfo").ok()?)
}

fn available_in(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_memory_is_what_the_kernel_calls_available() {
        let meminfo = "MemTotal:       24576000 kB\nMemAvailable:   17000000 kB\n";
        assert_eq!(available_in(meminfo), Some(17_000_000 * 1024));
        assert_eq!(available_in("MemTotal: 1 kB\n"), None);
        assert!(rooms(&[Device::Cpu])[0].bytes.unwrap() > 1 << 20);
    }
}
