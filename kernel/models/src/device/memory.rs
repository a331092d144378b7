//! Free memory of devices.

use tch::Device;

use super::cuda;

/// The share of a GPU's free memory that weights may take. The rest is for keys and values,
/// activations and libtorch itself.
const GPU_WEIGHT_SHARE: f64 = 0.85;

/// A device and how many bytes of weights may be placed on it; none if that is not known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct DeviceBudget {
    pub(crate) device: Device,
    pub(crate) bytes: Option<u64>,
}

impl std::fmt::Display for DeviceBudget {
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

/// The budgets of the devices, from the memory that is free now.
pub(crate) fn weight_budgets(devices: &[Device]) -> Vec<DeviceBudget> {
    let budget = |&device: &Device| {
        let share = match device {
            Device::Cuda(_) => GPU_WEIGHT_SHARE,
            _ => 1.0,
        };
        let free = free_memory(device);
        DeviceBudget {
            device,
            bytes: free.map(|free| (free as f64 * share) as u64),
        }
    };
    devices.iter().map(budget).collect()
}

/// Free bytes on a device; none if that is not known.
pub(crate) fn free_memory(device: Device) -> Option<u64> {
    match device {
        Device::Cuda(index) => cuda::memory(index).map(|(free, _)| free),
        Device::Cpu => free_host_memory(),
        Device::Mps | Device::Vulkan => None,
    }
}

/// Free bytes of the machine, or of this process's control group (version 2) if it allows less.
fn free_host_memory() -> Option<u64> {
    let free = mem_available(&std::fs::read_to_string("/proc/meminfo").ok()?)?;
    let cgroup = |name: &str| {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let (Some(max), Some(current)) = (cgroup("memory.max"), cgroup("memory.current")) else {
        return Some(free);
    };
    Some(free.min(max.saturating_sub(current)))
}

/// `MemAvailable` of `/proc/meminfo`, in bytes.
fn mem_available(meminfo: &str) -> Option<u64> {
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
    fn free_host_memory_is_what_the_kernel_calls_available() {
        let meminfo = "MemTotal:       24634384 kB\nMemAvailable:   23000000 kB\n";
        assert_eq!(mem_available(meminfo), Some(23_000_000 * 1024));
        assert_eq!(mem_available("MemTotal: 1 kB\n"), None);
        assert_eq!(mem_available("MemAvailable: many kB\n"), None);
        assert!(
            weight_budgets(&[Device::Cpu])[0]
                .bytes
                .is_some_and(|bytes| bytes > 1 << 20)
        );
    }
}
