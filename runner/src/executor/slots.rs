//! Places for attempts on this machine: as many as run at once, each with its cores and GPUs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::error::RunnerError;
use crate::store::gpu_numbers;
use crate::sweep::Resources;

/// The variable that tells CUDA which GPUs there are.
const GPUS_VARIABLE: &str = "CUDA_VISIBLE_DEVICES";

/// What an attempt may use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The logical cores to stay on, as the system numbers them; empty: all.
    pub cores: Vec<usize>,
    /// The GPUs to see; `None`: those that the runner sees.
    pub gpus: Option<Vec<String>>,
}

impl Place {
    /// The variables that tell an attempt's libraries.
    pub fn environment(&self) -> BTreeMap<String, String> {
        self.gpus
            .iter()
            .map(|gpus| (GPUS_VARIABLE.to_owned(), gpus.join(",")))
            .collect()
    }
}

/// The places of a sweep: how the machine is shared out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// One for each attempt that runs at once.
    pub places: Vec<Place>,
    /// The size of an attempt's thread pools.
    pub threads: usize,
}

impl Layout {
    /// Shares `cores`, neighbours in the machine next to each other, and `gpus` out to `workers`
    /// attempts, or to fewer if the GPUs do not reach for all.
    ///
    /// Each attempt gets its part of the cores, or `resources.cores`, and is kept on cores of its
    /// own; but not where `resources.cores` leave room for one more attempt: another sweep may
    /// want it, and both would choose the same cores.
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
        let fits = workers * threads <= numbers.len();
        let fills = numbers.len().saturating_sub(workers * threads) < threads;
        let shared = workers > 1 && (resources.cores.is_none() || fills);
        let pin = fits && resources.pin.unwrap_or(shared);
        let places = (0..workers)
            .map(|slot| Place {
                cores: if pin {
                    numbers[slot * threads..(slot + 1) * threads].to_vec()
                } else {
                    Vec::new()
                },
                gpus: resources
                    .gpus
                    .map(|count| gpus[slot * count..(slot + 1) * count].to_vec()),
            })
            .collect();
        Ok(Self { places, threads })
    }
}

/// The cores that attempts may share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cores {
    /// How many.
    pub count: usize,
    /// Which: neighbours in the machine are next to each other. Empty where attempts must not be
    /// kept on some of them.
    pub numbers: Vec<usize>,
}

/// The places of a layout, taken and given back.
#[derive(Debug)]
pub struct Slots {
    permits: Semaphore,
    /// The last one is taken first.
    free: Mutex<Vec<Place>>,
}

impl Slots {
    /// All of them free.
    pub fn new(mut places: Vec<Place>) -> Self {
        places.reverse();
        Self {
            permits: Semaphore::new(places.len()),
            free: Mutex::new(places),
        }
    }

    /// Waits for a free place; whoever asked first gets the next.
    pub async fn acquire(&self) -> Slot<'_> {
        // Fails only once the semaphore is closed, which nobody does.
        let permit = self.permits.acquire().await.ok();
        let place = self.free().pop().unwrap_or_default();
        Slot {
            slots: self,
            place,
            _permit: permit,
        }
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Place>> {
        // A push or a pop leaves nothing half done.
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, given back when dropped.
#[derive(Debug)]
pub struct Slot<'a> {
    slots: &'a Slots,
    /// What may be used.
    pub place: Place,
    /// Given back after the place is.
    _permit: Option<SemaphorePermit<'a>>,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let place = std::mem::take(&mut self.place);
        self.slots.free().push(place);
    }
}

/// The cores that this process may run on, threads of one core next to each other, then cores of
/// one package.
pub fn own_cores() -> Cores {
    let topology = |core: usize, name: &str| {
        let path = format!("/sys/devices/system/cpu/cpu{core}/topology/{name}");
        fs::read_to_string(path)
            .ok()
            .and_then(|text| text.trim().parse::<i64>().ok())
            .unwrap_or_default()
    };
    let mut numbers = allowed();
    numbers.sort_by_cached_key(|&core| {
        (
            topology(core, "physical_package_id"),
            topology(core, "core_id"),
            core,
        )
    });
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    // A container that has a part of the time of all cores: if everyone in such a container chose
    // the first ones, all would share these.
    if count < numbers.len() {
        numbers.clear();
    }
    Cores { count, numbers }
}

fn allowed() -> Vec<usize> {
    // SAFETY: all-zero bytes are the empty set of cores.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set outlives the call and its size is passed; 0 means this process.
    let got = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut set) };
    if got == -1 {
        // A machine of more cores than a set has room for: no pinning then.
        return Vec::new();
    }
    (0..libc::CPU_SETSIZE as usize)
        // SAFETY: the number lies within the set.
        .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
        .collect()
}

/// The GPUs to share out: those `given`, else those that the environment leaves, else all that
/// the machine has.
pub fn own_gpus(given: Option<&str>) -> Vec<String> {
    let listed = |text: &str| {
        text.split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    if let Some(given) = given {
        return listed(given);
    }
    if let Ok(visible) = std::env::var(GPUS_VARIABLE) {
        return listed(&visible);
    }
    // CUDA counts the devices that there are, whatever their numbers.
    (0..gpu_numbers(Path::new("/dev")).len())
        .map(|number| number.to_string())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not kept on cores of its own.
    const ANY: Vec<usize> = Vec::new();

    fn layout(workers: usize, resources: &Resources, cores: usize, gpus: &[&str]) -> Layout {
        let cores = Cores {
            count: cores,
            numbers: (0..cores).collect(),
        };
        let gpus: Vec<String> = gpus.iter().map(ToString::to_string).collect();
        Layout::new(workers, resources, &cores, &gpus).unwrap()
    }

    fn cores(layout: &Layout) -> Vec<Vec<usize>> {
        layout
            .places
            .iter()
            .map(|place| place.cores.clone())
            .collect()
    }

    #[test]
    fn attempts_that_fill_the_machine_have_cores_of_their_own() {
        let shared = layout(2, &Resources::default(), 5, &[]);
        assert_eq!(shared.threads, 2);
        assert_eq!(cores(&shared), [[0, 1], [2, 3]]);
        let two_of = Resources {
            cores: Some(2),
            ..Resources::default()
        };
        assert_eq!(cores(&layout(2, &two_of, 5, &[])), [[0, 1], [2, 3]]);
        assert_eq!(cores(&layout(2, &two_of, 6, &[])), [ANY, ANY]);
        let alone = layout(1, &Resources::default(), 8, &[]);
        assert_eq!((alone.threads, cores(&alone)), (8, vec![ANY]));
    }

    #[test]
    fn what_the_sweep_file_says_about_cores_counts() {
        let pinned = Resources {
            cores: Some(1),
            pin: Some(true),
            ..Resources::default()
        };
        assert_eq!(cores(&layout(2, &pinned, 8, &[])), [[0], [1]]);
        let free = Resources {
            pin: Some(false),
            ..Resources::default()
        };
        assert_eq!(cores(&layout(2, &free, 2, &[])), [ANY, ANY]);
        // More threads than cores: the system shares better than a plan.
        let many = Resources {
            cores: Some(2),
            pin: Some(true),
            ..Resources::default()
        };
        assert_eq!(cores(&layout(2, &many, 2, &[])), [ANY, ANY]);
    }

    #[test]
    fn a_part_of_the_time_of_many_cores_is_shared_without_choosing_some() {
        let quota = Cores {
            count: 4,
            numbers: Vec::new(),
        };
        let layout = Layout::new(2, &Resources::default(), &quota, &[]).unwrap();
        assert_eq!((layout.threads, cores(&layout)), (2, vec![ANY, ANY]));
    }

    #[test]
    fn every_gpu_belongs_to_one_attempt() {
        let one = Resources {
            gpus: Some(2),
            ..Resources::default()
        };
        let shared = layout(4, &one, 8, &["0", "1", "2", "3", "4"]);
        let gpus: Vec<_> = shared
            .places
            .iter()
            .map(|place| place.environment()[GPUS_VARIABLE].clone())
            .collect();
        assert_eq!(gpus, ["0,1", "2,3"], "two attempts at once, not four");
        assert_eq!(shared.threads, 4);
        let none = Resources {
            gpus: Some(0),
            ..Resources::default()
        };
        let hidden = layout(2, &none, 8, &["0"]);
        assert_eq!(hidden.places[1].environment()[GPUS_VARIABLE], "");
        let seen = layout(2, &Resources::default(), 8, &["0"]);
        assert!(seen.places[0].environment().is_empty());
    }

    #[test]
    fn too_few_gpus_are_an_error_that_names_them() {
        let two = Resources {
            gpus: Some(2),
            ..Resources::default()
        };
        let error = Layout::new(1, &two, &Cores::default(), &["7".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a trial needs 2 GPUs, this machine has 1 (7); choose with --gpus, or change `gpus` in [resources]"
        );
    }

    #[tokio::test]
    async fn no_place_is_taken_twice() {
        let places: Vec<Place> = (0..3)
            .map(|core| Place {
                cores: vec![core],
                gpus: None,
            })
            .collect();
        let slots = Slots::new(places);
        let first = slots.acquire().await;
        let second = slots.acquire().await;
        let third = slots.acquire().await;
        let taken: Vec<_> = [&first, &second, &third]
            .iter()
            .map(|slot| slot.place.cores[0])
            .collect();
        assert_eq!(taken, [0, 1, 2]);
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(10), slots.acquire());
        assert!(waiting.await.is_err());
        drop(second);
        assert_eq!(slots.acquire().await.place.cores, [1]);
    }

    #[test]
    fn own_cores_are_those_that_the_system_lets_us_run_on() {
        let cores = own_cores();
        let allowed = allowed();
        assert!(cores.count > 0);
        assert!(cores.numbers.iter().all(|core| allowed.contains(core)));
    }
}
