use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::super::{MissedPolicy, ProcessIdentity, Schedule};
use super::*;

/// A simulated machine: a clock that the test sets, and sweeps that end when the test says so.
#[derive(Clone)]
struct Machine {
    now: Rc<Cell<DateTime<Utc>>>,
    sweeps: Rc<RefCell<BTreeMap<u32, Option<RunOutcome>>>>,
    signals: Rc<RefCell<Vec<i32>>>,
    started: Rc<RefCell<Vec<String>>>,
    store: ScheduleStore,
}

struct Sweep {
    id: u32,
    machine: Machine,
}

impl Clock for Machine {
    fn now(&self) -> DateTime<Utc> {
        self.now.get()
    }
}

impl Launcher for Machine {
    type Launched = Sweep;

    fn launch(
        &mut self,
        name: &str,
        schedule: &Schedule,
        scheduled: DateTime<Utc>,
        attempt: usize,
    ) -> std::io::Result<Sweep> {
        if schedule.sweep == Path::new("missing") {
            return Err(std::io::ErrorKind::NotFound.into());
        }
        let id = u32::try_from(self.started.borrow().len()).unwrap() + 1;
        self.sweeps.borrow_mut().insert(id, None);
        let at = scheduled.format("%m-%dT%H:%M");
        self.started
            .borrow_mut()
            .push(format!("{name} {at} {attempt}"));
        Ok(Sweep {
            id,
            machine: self.clone(),
        })
    }

    fn is_alive(&self, process: &ProcessIdentity) -> bool {
        self.sweeps.borrow().get(&process.id) == Some(&None)
    }
}

impl LaunchedSweep for Sweep {
    fn process(&self) -> ProcessIdentity {
        ProcessIdentity {
            id: self.id,
            start_time: 0,
            boot_id: String::new(),
        }
    }

    fn log(&self) -> &Path {
        Path::new("log")
    }

    fn try_wait(&mut self) -> Option<RunOutcome> {
        self.machine.sweeps.borrow()[&self.id].clone()
    }

    fn signal(&mut self, signal: i32) {
        self.machine.signals.borrow_mut().push(signal);
    }
}

impl Machine {
    fn new(folder: &tempfile::TempDir, now: &str) -> Self {
        Self {
            now: Rc::new(Cell::new(now.parse().unwrap())),
            sweeps: Rc::default(),
            signals: Rc::default(),
            started: Rc::default(),
            store: ScheduleStore::new(folder.path()),
        }
    }

    fn schedule(&self, name: &str, cron: &str, change: impl FnOnce(&mut Schedule)) {
        let mut schedule = Schedule {
            cron: cron.to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            sweep: PathBuf::from("nightly.toml"),
            folder: PathBuf::from("/"),
            arguments: Vec::new(),
            missed: MissedPolicy::RunOnce,
            overlap: false,
        };
        change(&mut schedule);
        let entry = ScheduleEntry::new(schedule, self.now.get());
        let added = self.store.update(|table| {
            table.schedules.insert(name.to_owned(), entry);
            Ok(())
        });
        added.unwrap();
    }

    fn scheduler(&self) -> Scheduler<Machine, Machine> {
        Scheduler::new(
            self.store.clone(),
            self.clone(),
            self.clone(),
            Vec::new(),
            1,
        )
    }

    fn set_clock(&self, now: &str) {
        self.now.set(now.parse().unwrap());
    }

    fn end(&self, id: u32, outcome: RunOutcome) {
        self.sweeps.borrow_mut().insert(id, Some(outcome));
    }

    fn started(&self) -> Vec<String> {
        self.started.borrow().clone()
    }

    fn outcomes(&self, name: &str) -> Vec<RunOutcome> {
        let table = self.store.read().unwrap();
        let history = &table.schedules[name].history;
        history.iter().map(|run| run.outcome.clone()).collect()
    }
}

#[test]
fn a_failed_run_is_recorded_and_the_next_night_runs() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    let mut scheduler = machine.scheduler();
    for (night, id) in [("2026-01-02", 1), ("2026-01-03", 2)] {
        machine.set_clock(&format!("{night}T01:29:59Z"));
        assert_eq!(scheduler.tick().unwrap(), []);
        assert_eq!(
            scheduler.time_to_next().unwrap(),
            Some(TimeDelta::seconds(1))
        );
        machine.set_clock(&format!("{night}T01:30:00Z"));
        assert_eq!(scheduler.tick().unwrap().len(), 1);
        assert_eq!(scheduler.tick().unwrap(), [], "an occurrence runs once");
        machine.end(id, RunOutcome::Failed { exit_code: Some(1) });
        scheduler.tick().unwrap();
        assert!(scheduler.is_idle());
    }
    assert_eq!(
        machine.started(),
        ["nightly 01-02T01:30 1", "nightly 01-03T01:30 1"]
    );
    assert_eq!(
        machine.outcomes("nightly"),
        [
            RunOutcome::Failed { exit_code: Some(1) },
            RunOutcome::Failed { exit_code: Some(1) }
        ]
    );
}

#[test]
fn a_run_that_takes_two_days_is_followed_by_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    let mut scheduler = machine.scheduler();
    for now in [
        "2026-01-02T01:30:00Z",
        "2026-01-03T01:30:00Z",
        "2026-01-04T01:30:00Z",
    ] {
        machine.set_clock(now);
        scheduler.tick().unwrap();
    }
    assert_eq!(machine.started().len(), 1);
    machine.end(1, RunOutcome::Succeeded);
    scheduler.tick().unwrap();
    assert_eq!(
        machine.started(),
        ["nightly 01-02T01:30 1", "nightly 01-04T01:30 1"]
    );
}

#[test]
fn a_schedule_with_overlap_starts_further_runs() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T00:30:00Z");
    machine.schedule("hourly", "0 * * * *", |schedule| schedule.overlap = true);
    let mut scheduler = Scheduler::new(
        machine.store.clone(),
        machine.clone(),
        machine.clone(),
        vec![],
        2,
    );
    for now in [
        "2026-01-01T01:00:00Z",
        "2026-01-01T02:00:00Z",
        "2026-01-01T03:00:00Z",
    ] {
        machine.set_clock(now);
        scheduler.tick().unwrap();
    }
    assert_eq!(machine.started().len(), 2, "no more than two at once");
}

#[test]
fn a_run_that_is_stopped_with_its_scheduler_continues_with_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    let mut scheduler = machine.scheduler();
    machine.set_clock("2026-01-02T01:30:00Z");
    scheduler.tick().unwrap();
    scheduler.stop(libc::SIGTERM);
    assert_eq!(*machine.signals.borrow(), [libc::SIGTERM]);
    scheduler.tick().unwrap();
    assert!(!scheduler.is_idle(), "the sweep has not ended yet");
    machine.end(
        1,
        RunOutcome::Failed {
            exit_code: Some(130),
        },
    );
    scheduler.tick().unwrap();
    assert!(scheduler.is_idle());
    assert_eq!(machine.outcomes("nightly"), [RunOutcome::Stopped]);
    machine.set_clock("2026-01-02T09:00:00Z");
    machine.scheduler().tick().unwrap();
    assert_eq!(
        machine.started(),
        ["nightly 01-02T01:30 1", "nightly 01-02T01:30 2"]
    );
}

#[test]
fn a_sweep_that_a_user_stopped_does_not_continue() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    let mut scheduler = machine.scheduler();
    machine.set_clock("2026-01-02T01:30:00Z");
    scheduler.tick().unwrap();
    machine.end(
        1,
        RunOutcome::Failed {
            exit_code: Some(130),
        },
    );
    scheduler.tick().unwrap();
    scheduler.tick().unwrap();
    assert_eq!(machine.started().len(), 1);
}

#[test]
fn a_run_of_a_dead_scheduler_is_waited_for_and_continues_if_it_died_too() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    machine.set_clock("2026-01-02T01:30:00Z");
    machine.scheduler().tick().unwrap();
    let mut second = machine.scheduler();
    assert_eq!(second.tick().unwrap(), [], "the sweep still runs");
    // As in a power failure.
    machine.end(1, RunOutcome::Failed { exit_code: None });
    second.tick().unwrap();
    assert_eq!(
        machine.started(),
        ["nightly 01-02T01:30 1", "nightly 01-02T01:30 2"]
    );
    assert_eq!(machine.outcomes("nightly"), [RunOutcome::Lost]);
}

#[test]
fn a_run_that_is_cut_short_every_time_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    machine.set_clock("2026-01-02T01:30:00Z");
    for id in 1..20 {
        machine.scheduler().tick().unwrap();
        machine.end(id, RunOutcome::Lost);
    }
    assert_eq!(machine.started().len(), MAX_STARTS);
}

#[test]
fn a_broken_schedule_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("a", "30 2 * * *", |schedule| {
        schedule.timezone = "Mars/Base".to_owned()
    });
    machine.schedule("b", "30 2 * * *", |schedule| {
        schedule.sweep = PathBuf::from("missing")
    });
    machine.schedule("c", "30 2 * * *", |_| {});
    machine.set_clock("2026-01-02T01:30:00Z");
    let events = machine.scheduler().tick().unwrap();
    assert!(
        matches!(&events[0].kind, ScheduleEventKind::Broken { reason } if reason.contains("Mars/Base"))
    );
    assert!(matches!(
        machine.outcomes("b")[..],
        [RunOutcome::NotStarted { .. }]
    ));
    assert_eq!(machine.started(), ["c 01-02T01:30 1"]);
}

#[test]
fn only_the_named_schedules_run() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("a", "30 2 * * *", |_| {});
    machine.schedule("b", "30 2 * * *", |_| {});
    machine.set_clock("2026-01-02T01:30:00Z");
    let only = vec!["b".to_owned()];
    let (store, clock) = (machine.store.clone(), machine.clone());
    Scheduler::new(store, clock, machine.clone(), only, 9)
        .tick()
        .unwrap();
    assert_eq!(machine.started(), ["b 01-02T01:30 1"]);
}
