//! Identifies a run's process across restarts of the scheduler.

use offmodel_support::process;
use serde::{Deserialize, Serialize};

/// A process of this machine. Its number alone would not do, because the system uses numbers again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process number.
    pub id: u32,
    /// When the process started, in clock ticks since boot.
    #[serde(rename = "start")]
    pub start_time: u64,
    /// The boot of the machine that `start_time` counts from.
    #[serde(rename = "boot")]
    pub boot_id: String,
}

impl ProcessIdentity {
    /// The identity of a process that runs now.
    pub fn of(id: u32) -> Option<Self> {
        Some(Self {
            id,
            start_time: process::start_time(i32::try_from(id).ok()?)?,
            boot_id: process::boot_id(),
        })
    }

    /// Whether the process still runs.
    pub fn is_alive(&self) -> bool {
        Self::of(self.id).as_ref() == Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_differs_from_an_earlier_one_with_its_number() {
        let own = ProcessIdentity::of(std::process::id()).unwrap();
        assert!(own.is_alive());
        let earlier = ProcessIdentity {
            start_time: own.start_time - 1,
            ..own.clone()
        };
        assert!(!earlier.is_alive());
        let before_reboot = ProcessIdentity {
            boot_id: "another".to_owned(),
            ..own
        };
        assert!(!before_reboot.is_alive());
    }
}
