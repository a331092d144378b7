use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::super::{Missed, Process, Schedule};
use super::*;

/// A machine of its own: a clock that the test sets, and sweeps that end when it says so.
#[derive(Clone)]
struct Machine {
    now: Rc<Cell<DateTime<Utc>>>,
    sweeps: Rc<RefCell<BTreeMap<u32, Option<Outcome>>>>,
    signals: Rc<RefCell<Vec<i32>>>,
    begun: Rc<RefCell<Vec<String>>>,
    file: LedgerFile,
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
        let id = u32::try_from(self.begun.borrow().len()).unwrap() + 1;
        self.sweeps.borrow_mut().insert(id, None);
        let at = scheduled.format("%m-%dT%H:%M");
        self.begun
            .borrow_mut()
            .push(format!("{name} {at} {attempt}"));
        Ok(Sweep {
            id,
            machine: self.clone(),
        })
    }

    fn is_alive(&self, process: &Process) -> bool {
        self.sweeps.borrow().get(&process.id) == Some(&None)
    }
}

impl Launched for Sweep {
    fn process(&self) -> Process {
        Process {
            id: self.id,
            start: 0,
            boot: String::new(),
        }
    }

    fn log(&self) -> &Path {
        Path::new("log")
    }

    fn ended(&mut self) -> Option<Outcome> {
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
            begun: Rc::default(),
            file: LedgerFile::new(folder.path()),
        }
    }

    fn schedule(&self, name: &str, cron: &str, change: impl FnOnce(&mut Schedule)) {
        let mut schedule = Schedule {
            cron: cron.to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            sweep: PathBuf::from("nightly.toml"),
            folder: PathBuf::from("/"),
            arguments: Vec::new(),
            missed: Missed::RunOnce,
            overlap: false,
        };
        change(&mut schedule);
        let entry = Entry::new(schedule, self.now.get());
        let added = self.file.update(|ledger| {
            ledger.schedules.insert(name.to_owned(), entry);
            Ok(())
        });
        added.unwrap();
    }

    fn conductor(&self) -> Conductor<Machine, Machine> {
        Conductor::new(self.file.clone(), self.clone(), self.clone(), Vec::new(), 1)
    }

    fn set_clock(&self, now: &str) {
        self.now.set(now.parse().unwrap());
    }

    fn end(&self, id: u32, outcome: Outcome) {
        self.sweeps.borrow_mut().insert(id, Some(outcome));
    }

    fn begun(&self) -> Vec<String> {
        self.begun.borrow().clone()
    }

    fn outcomes(&self, name: &str) -> Vec<Outcome> {
        let ledger = self.file.read().unwrap();
        let history = &ledger.schedules[name].history;
        history.iter().map(|run| run.outcome.clone()).collect()
    }
}

#[test]
fn a_failing_sweep_is_recorded_and_the_next_night_comes() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    let mut conductor = machine.conductor();
    for (night, id) in [("2026-01-02", 1), ("2026-01-03", 2)] {
        machine.set_clock(&format!("{night}T01:29:59Z"));
        assert_eq!(conductor.turn(true).unwrap(), []);
        assert_eq!(conductor.until_next().unwrap(), Some(TimeDelta::seconds(1)));
        machine.set_clock(&format!("{night}T01:30:00Z"));
        assert_eq!(conductor.turn(true).unwrap().len(), 1);
        assert_eq!(conductor.turn(true).unwrap(), [], "one instant, one run");
        machine.end(id, Outcome::Failed { exit_code: Some(1) });
        conductor.turn(true).unwrap();
        assert!(conductor.is_idle());
    }
    assert_eq!(
        machine.begun(),
        ["nightly 01-02T01:30 1", "nightly 01-03T01:30 1"]
    );
    assert_eq!(
        machine.outcomes("nightly"),
        [
            Outcome::Failed { exit_code: Some(1) },
            Outcome::Failed { exit_code: Some(1) }
        ]
    );
}

#[test]
fn a_run_that_takes_two_days_is_followed_by_one_run() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    let mut conductor = machine.conductor();
    for now in [
        "2026-01-02T01:30:00Z",
        "2026-01-03T01:30:00Z",
        "2026-01-04T01:30:00Z",
    ] {
        machine.set_clock(now);
        conductor.turn(true).unwrap();
    }
    assert_eq!(machine.begun().len(), 1);
    machine.end(1, Outcome::Succeeded);
    conductor.turn(true).unwrap();
    assert_eq!(
        machine.begun(),
        ["nightly 01-02T01:30 1", "nightly 01-04T01:30 1"]
    );
}

#[test]
fn a_schedule_with_overlap_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T00:30:00Z");
    machine.schedule("hourly", "0 * * * *", |schedule| schedule.overlap = true);
    let mut conductor = Conductor::new(
        machine.file.clone(),
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
        conductor.turn(true).unwrap();
    }
    assert_eq!(machine.begun().len(), 2, "no more than two at once");
}

#[test]
fn a_run_that_is_stopped_with_its_scheduler_goes_on_with_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    let mut conductor = machine.conductor();
    machine.set_clock("2026-01-02T01:30:00Z");
    conductor.turn(true).unwrap();
    conductor.stop(libc::SIGTERM);
    assert_eq!(*machine.signals.borrow(), [libc::SIGTERM]);
    conductor.turn(true).unwrap();
    assert!(
        !conductor.is_idle(),
        "it waits for the sweep to end in order"
    );
    machine.end(
        1,
        Outcome::Failed {
            exit_code: Some(130),
        },
    );
    conductor.turn(true).unwrap();
    assert!(conductor.is_idle());
    assert_eq!(machine.outcomes("nightly"), [Outcome::Stopped]);
    machine.set_clock("2026-01-02T09:00:00Z");
    machine.conductor().turn(true).unwrap();
    assert_eq!(
        machine.begun(),
        ["nightly 01-02T01:30 1", "nightly 01-02T01:30 2"]
    );
}

#[test]
fn a_sweep_that_someone_else_stopped_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    let mut conductor = machine.conductor();
    machine.set_clock("2026-01-02T01:30:00Z");
    conductor.turn(true).unwrap();
    machine.end(
        1,
        Outcome::Failed {
            exit_code: Some(130),
        },
    );
    conductor.turn(true).unwrap();
    conductor.turn(true).unwrap();
    assert_eq!(machine.begun().len(), 1);
}

#[test]
fn sweeps_of_a_scheduler_that_died_are_waited_for_and_go_on_if_they_died_too() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    machine.set_clock("2026-01-02T01:30:00Z");
    machine.conductor().turn(true).unwrap();
    let mut second = machine.conductor();
    assert_eq!(second.turn(true).unwrap(), [], "the sweep still runs");
    // As after a power failure.
    machine.end(1, Outcome::Failed { exit_code: None });
    second.turn(true).unwrap();
    assert_eq!(
        machine.begun(),
        ["nightly 01-02T01:30 1", "nightly 01-02T01:30 2"]
    );
    assert_eq!(machine.outcomes("nightly"), [Outcome::Lost]);
}

#[test]
fn a_run_that_takes_the_machine_down_each_time_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("nightly", "30 2 * * *", |_| {});
    machine.set_clock("2026-01-02T01:30:00Z");
    for id in 1..20 {
        machine.conductor().turn(true).unwrap();
        machine.end(id, Outcome::Lost);
    }
    assert_eq!(machine.begun().len(), BEGINNINGS);
}

#[test]
fn a_schedule_that_cannot_be_kept_does_not_stop_the_others() {
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
    let news = machine.conductor().turn(true).unwrap();
    assert!(matches!(&news[0].said, Said::Broken { reason } if reason.contains("Mars/Base")));
    assert!(matches!(
        machine.outcomes("b")[..],
        [Outcome::NotStarted { .. }]
    ));
    assert_eq!(machine.begun(), ["c 01-02T01:30 1"]);
}

#[test]
fn only_the_schedules_that_were_named_are_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let machine = Machine::new(&folder, "2026-01-01T12:00:00Z");
    machine.schedule("a", "30 2 * * *", |_| {});
    machine.schedule("b", "30 2 * * *", |_| {});
    machine.set_clock("2026-01-02T01:30:00Z");
    let only = vec!["b".to_owned()];
    let (file, clock) = (machine.file.clone(), machine.clone());
    Conductor::new(file, clock, machine.clone(), only, 9)
        .turn(true)
        .unwrap();
    assert_eq!(machine.begun(), ["b 01-02T01:30 1"]);
}
