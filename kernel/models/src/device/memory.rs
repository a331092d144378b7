//! How much memory devices have left.

use tch::Device;

use super::cuda;

/// How much of the free memory of a GPU weights may take: the rest is for keys and values,
/// activations and libtorch itself.
const SHARE_OF_GPU: f64 = 0.85;

/// A device and how many bytes of weights it has room for; `None` where that is not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Room {
    pub(crate) device: Device,
    pub(crate) bytes: Option<u64>,
}

impl std::fmt::Display for Room {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.bytes {
            Some(bytes) => write!(
                formatter,
                "{:.1} GB on {:?}",
                bytes as f64 / 1e9,
                self.device
            ),
            None => write!(formatter, "an unknown amount on {:?}", self.device),
        }
    }
}

/// The room of each device now.
pub(crate) fn rooms(devices: &[Device]) -> Vec<Room> {
    let room = |&device: &Device| {
        let share = match device {
            Device::Cuda(_) => SHARE_OF_GPU,
            _ => 1.0,
        };
        let free = free_memory(device);
        Room {
            device,
            bytes: free.map(|free| (free as f64 * share) as u64),
        }
    };
    devices.iter().map(room).collect()
}

/// Bytes that are free on a device, where that is known.
pub(crate) fn free_memory(device: Device) -> Option<u64> {
    match device {
        Device::Cuda(index) => cuda::memory(index).map(|(free, _)| free),
        Device::Cpu => free_on_host(),
        Device::Mps | Device::Vulkan => None,
    }
}

/// What the machine has free, or less where a control group allows less.
fn free_on_host() -> Option<u64> {
    let free = available(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn main_memory_is_what_the_kernel_calls_available() {
        let meminfo = "MemTotal:       24634384 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(available(meminfo), Some(23_000_000 * 1024));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
        assert_eq!(available("MemAvailable: many kB\n"), None);
        assert!(
            rooms(&[Device::Cpu])[0]
                .bytes
                .is_some_and(|bytes| bytes > 1 << 20)
        );
    }
}
