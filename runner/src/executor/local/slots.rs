//! Shares of this machine's cores and GPUs, one for each attempt that runs at the same time.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::RunnerError;
use crate::store::gpu_numbers;
use crate::sweep::Resources;

/// The variable from which CUDA reads the GPUs that a process may see.
const GPUS_VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

/// The cores and GPUs that one attempt runs on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allocation {
    /// The logical cores that the attempt is pinned to, as the system numbers them; empty: not
    /// pinned.
    pub cores: Vec<usize>,
    /// The GPUs that the attempt sees; `None`: those that the runner sees.
    pub gpus: Option<Vec<String>>,
}

impl Allocation {
    /// The environment variables that tell an attempt's libraries about its GPUs.
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.gpus
            .iter()
            .map(|gpus| (GPUS_VARIABLE.to_owned(), gpus.join(",")))
            .collect()
    }
}

/// How the machine is shared out among attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotPlan {
    /// One allocation for each attempt that runs at the same time.
    pub allocations: Vec<Allocation>,
    /// The size of each thread pool of an attempt.
    pub threads: usize,
}

impl SlotPlan {
    /// Shares out `cores` and `gpus` among `workers` attempts, or fewer if there are not enough
    /// GPUs.
    ///
    /// An attempt gets an equal part of the cores, or `resources.cores`. Attempts that fill the
    /// machine are pinned to cores of their own. Where `resources.cores` leaves room for one more
    /// attempt, none is pinned: a second sweep may use that room, and would pin its attempts to
    /// the same cores.
    ///
    /// # Errors
    /// When there are fewer GPUs than one attempt needs.
    pub fn new(
        workers: usize,
        resources: &Resources,
        cores: &Cores,
        gpus: &[String],
    ) -> Result<Self, RunnerError> {
        let workers = match resources.gpus {
            None | Some(0) => workers,
            Some(wanted) if gpus.len() < wanted => {
                return Err(RunnerError::Gpus {
                    wanted,
                    found: gpus.to_vec(),
                });
            }
            Some(wanted) => workers.min(gpus.len() / wanted),
        }
        .max(1);
        let threads = resources
            .cores
            .unwrap_or_else(|| (cores.count / workers).max(1));
        let numbers = &cores.numbers;
        let is_enough = workers * threads <= numbers.len();
        let fills_machine = numbers.len().saturating_sub(workers * threads) < threads;
        let pins_by_default = workers > 1 && (resources.cores.is_none() || fills_machine);
        let is_pinned = is_enough && resources.pin.unwrap_or(pins_by_default);
        let allocations = (0..workers)
            .map(|slot| Allocation {
                cores: if is_pinned {
                    numbers[slot * threads..(slot + 1) * threads].to_vec()
                } else {
                    Vec::new()
                },
                gpus: resources
                    .gpus
                    .map(|count| gpus[slot * count..(slot + 1) * count].to_vec()),
            })
            .collect();
        Ok(Self {
            allocations,
            threads,
        })
    }
}

/// The cores that attempts share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cores {
    /// How many cores' worth of time this process gets.
    pub count: usize,
    /// The numbers of the cores, in the order of the hardware (see [`own_cores`]). Empty where
    /// attempts must not be pinned.
    pub numbers: Vec<usize>,
}

/// A pool of allocations, each used by one attempt at a time.
#[derive(Debug)]
pub struct Slots {
    count: usize,
    permits: Semaphore,
    /// A stack; holds an allocation for every free permit.
    free: Mutex<Vec<Allocation>>,
}

impl Slots {
    /// A pool in which all `allocations` are free.
    pub fn new(mut allocations: Vec<Allocation>) -> Self {
        allocations.reverse();
        Self {
            count: allocations.len(),
            permits: Semaphore::new(allocations.len()),
            free: Mutex::new(allocations),
        }
    }

    /// How many slots there are, free or not.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Waits for a free slot; callers get one in the order in which they asked.
    pub async fn acquire(&self) -> Slot<'_> {
        // Fails only once the semaphore is closed, which no code does.
        let permit = self.permits.acquire().await.ok();
        let allocation = self.free().pop().unwrap_or_default();
        Slot {
            slots: self,
            allocation,
            _permit: permit,
        }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Allocation>> {
        // A push or pop cannot panic halfway, so a poisoned stack is still consistent.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An allocation that is in use; dropping the slot frees it.
#[derive(Debug)]
pub struct Slot<'a> {
    slots: &'a Slots,
    allocation: Allocation,
    /// Fields are dropped after [`Slot::drop`] has run, so the permit is released once the
    /// allocation is back on the stack.
    _permit: Option<SemaphorePermit<'a>>,
}

impl Slot<'_> {
    /// The cores and GPUs of the slot.
    pub fn allocation(&self) -> &Allocation {
        &self.allocation
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let allocation = std::mem::take(&mut self.allocation);
        self.slots.free().push(allocation);
    }
}

/// The cores that this process may run on, ordered so that threads of one core, then cores of one
/// package, are neighbours: attempts that are pinned to neighbours share caches.
pub fn own_cores() -> Cores {
    let topology = |core: usize, name: &str| {
        let path = format!("/sys/devices/system/cpu/cpu{core}/topology/{name}");
        fs::read_to_string(path)
            .ok()
            .and_then(|text| text.trim().parse::<i64>().ok())
            .unwrap_or_default()
    };
    let mut numbers = allowed_cores();
    numbers.sort_by_cached_key(|&core| {
        (
            topology(core, "physical_package_id"),
            topology(core, "core_id"),
            core,
        )
    });
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    // A container with a CPU quota gets a part of the time of all cores. If every such container
    // pinned its attempts to the first cores, all of them would compete for these.
    if count < numbers.len() {
        numbers.clear();
    }
    Cores { count, numbers }
}

fn allowed_cores() -> Vec<usize> {
    // SAFETY: all-zero bytes are the empty set of cores.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` outlives the call and its size is passed; 0 means this process.
    let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if result == -1 {
        // The machine has more cores than a set has room for; attempts are not pinned then.
        return Vec::new();
    }
    (0..libc::CPU_SETSIZE as usize)
        // SAFETY: the number lies within the set.
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .collect()
}

/// The GPUs to share out: those in `given`, otherwise those in `CUDA_VISIBLE_DEVICES`, otherwise all
/// of the machine.
pub fn own_gpus(given: Option<&str>) -> Vec<String> {
    let split = |text: &str| {
        text.split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    if let Some(given) = given {
        return split(given);
    }
    if let Ok(visible) = std::env::var(GPUS_VARIABLE) {
        return split(&visible);
    }
    // CUDA numbers the devices that exist from 0, whatever the numbers of their device files.
    (0..gpu_numbers(Path::new("/dev")).len())
        .map(|number| number.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not pinned.
    const ANY: Vec<usize> = Vec::new();

    fn plan(workers: usize, resources: &Resources, cores: usize, gpus: &[&str]) -> SlotPlan {
        let cores = Cores {
            count: cores,
            numbers: (0..cores).collect(),
        };
        let gpus: Vec<String> = gpus.iter().map(ToString::to_string).collect();
        SlotPlan::new(workers, resources, &cores, &gpus).unwrap()
    }

    fn cores(plan: &SlotPlan) -> Vec<Vec<usize>> {
        plan.allocations
            .iter()
            .map(|allocation| allocation.cores.clone())
            .collect()
    }

    #[test]
    fn attempts_that_fill_the_machine_are_pinned_to_cores_of_their_own() {
        let shared = plan(2, &Resources::default(), 5, &[]);
        assert_eq!(shared.threads, 2);
        assert_eq!(cores(&shared), [[0, 1], [2, 3]]);
        let two_of = Resources {
            cores: Some(2),
            ..Resources::default()
        };
        assert_eq!(cores(&plan(2, &two_of, 5, &[])), [[0, 1], [2, 3]]);
        assert_eq!(cores(&plan(2, &two_of, 6, &[])), [ANY, ANY]);
        let alone = plan(1, &Resources::default(), 8, &[]);
        assert_eq!((alone.threads, cores(&alone)), (8, vec![ANY]));
    }

    #[test]
    fn the_sweep_file_decides_whether_attempts_are_pinned() {
        let pinned = Resources {
            cores: Some(1),
            pin: Some(true),
            ..Resources::default()
        };
        assert_eq!(cores(&plan(2, &pinned, 8, &[])), [[0], [1]]);
        let free = Resources {
            pin: Some(false),
            ..Resources::default()
        };
        assert_eq!(cores(&plan(2, &free, 2, &[])), [ANY, ANY]);
        // With more threads than cores, the system's scheduler shares them better than a plan.
        let many = Resources {
            cores: Some(2),
            pin: Some(true),
            ..Resources::default()
        };
        assert_eq!(cores(&plan(2, &many, 2, &[])), [ANY, ANY]);
    }

    #[test]
    fn attempts_are_not_pinned_under_a_cpu_quota() {
        let quota = Cores {
            count: 4,
            numbers: Vec::new(),
        };
        let plan = SlotPlan::new(2, &Resources::default(), &quota, &[]).unwrap();
        assert_eq!((plan.threads, cores(&plan)), (2, vec![ANY, ANY]));
    }

    #[test]
    fn every_gpu_belongs_to_one_attempt() {
        let one = Resources {
            gpus: Some(2),
            ..Resources::default()
        };
        let shared = plan(4, &one, 8, &["0", "1", "2", "3", "4"]);
        let gpus: Vec<_> = shared
            .allocations
            .iter()
            .map(|allocation| allocation.environment()[GPUS_VARIABLE].clone())
            .collect();
        assert_eq!(gpus, ["0,1", "2,3"], "two attempts at once, not four");
        assert_eq!(shared.threads, 4);
        let none = Resources {
            gpus: Some(0),
            ..Resources::default()
        };
        let hidden = plan(2, &none, 8, &["0"]);
        assert_eq!(hidden.allocations[1].environment()[GPUS_VARIABLE], "");
        let seen = plan(2, &Resources::default(), 8, &["0"]);
        assert!(seen.allocations[0].environment().is_empty());
    }

    #[test]
    fn too_few_gpus_are_an_error_that_names_them() {
        let two = Resources {
            gpus: Some(2),
            ..Resources::default()
        };
        let error = SlotPlan::new(1, &two, &Cores::default(), &["7".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a trial needs 2 GPUs, this machine has 1 (7); choose with --gpus, or change `gpus` in [resources]"
        );
    }

    #[tokio::test]
    async fn no_allocation_is_used_twice_at_the_same_time() {
        let allocations: Vec<Allocation> = (0..3)
            .map(|core| Allocation {
                cores: vec![core],
                gpus: None,
            })
            .collect();
        let slots = Slots::new(allocations);
        let first = slots.acquire().await;
        let second = slots.acquire().await;
        let third = slots.acquire().await;
        let taken: Vec<_> = [&first, &second, &third]
            .iter()
            .map(|slot| slot.allocation().cores[0])
            .collect();
        assert_eq!(taken, [0, 1, 2]);
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(10), slots.acquire());
        assert!(waiting.await.is_err());
        drop(second);
        assert_eq!(slots.acquire().await.allocation().cores, [1]);
    }

    #[test]
    fn own_cores_are_a_subset_of_the_affinity_mask() {
        let cores = own_cores();
        let allowed = allowed_cores();
        assert!(cores.count > 0);
        assert!(cores.numbers.iter().all(|core| allowed.contains(core)));
    }
}
