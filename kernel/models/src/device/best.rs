//! The devices that are used by default.

use tch::Device;

use super::cuda;

/// Adds [`Device::best`](BestDevice::best) to [`Device`].
pub trait BestDevice {
    /// The first GPU if there is one, else the CPU.
    fn best() -> Device;

    /// All GPUs, or the CPU if there is none.
    fn all() -> Vec<Device>;
}

impl BestDevice for Device {
    fn best() -> Device {
        match cuda::device_count() {
            0 => Self::Cpu,
            _ => Self::Cuda(0),
        }
    }

    fn all() -> Vec<Device> {
        match cuda::device_count() {
            0 => vec![Self::Cpu],
            count => (0..count).map(Self::Cuda).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_device_is_the_first_of_all() {
        assert_eq!(Device::best(), Device::all()[0]);
    }
}
