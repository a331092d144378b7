use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{
    Clock, Entry, Launched, Launcher, Ledger, LedgerFile, Outcome, Run, Running, Settled, Waiting,
    settle,
};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;

/// A run that was cut short this often takes the machine down, or something does that will not
/// stop.
const BEGINNINGS: usize = 5;

/// Settles occurrences, starts their sweeps and records how these end: one turn at a time.
///
/// The ledger is the truth; several conductors may share one. Each looks after the sweeps that
/// it started itself, and leaves those of others alone as long as they live.
#[derive(Debug)]
pub struct Conductor<C, L: Launcher> {
    file: LedgerFile,
    clock: C,
    launcher: L,
    /// Only these schedules; all if empty.
    only: Vec<String>,
    at_once: usize,
    own: Vec<Own<L::Launched>>,
    stopping: bool,
}

#[derive(Debug)]
struct Own<T> {
    name: String,
    scheduled: DateTime<Utc>,
    launched: T,
}

/// Something that happened to a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct News {
    /// The schedule.
    pub schedule: String,
    /// What happened.
    pub said: Said,
}

/// What happened to a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Said {
    /// Occurrences were missed and do not run.
    Skipped {
        /// How many.
        count: usize,
    },
    /// The clock had been far ahead; the schedule goes on from the present.
    ClockWasWrong,
    /// A sweep began.
    Started {
        /// The occurrence.
        scheduled: DateTime<Utc>,
        /// Which beginning of it this is, from 1.
        attempt: usize,
        /// Its output.
        log: std::path::PathBuf,
    },
    /// A sweep ended.
    Ended {
        /// The occurrence.
        scheduled: DateTime<Utc>,
        /// How.
        outcome: Outcome,
        /// Whether it goes on later.
        goes_on: bool,
        /// Its output.
        log: std::path::PathBuf,
    },
    /// The schedule cannot be kept.
    Broken {
        /// Why.
        reason: String,
    },
}

impl<C: Clock, L: Launcher> Conductor<C, L> {
    /// For the schedules named in `only`, or for all; with at most `at_once` sweeps of its own.
    pub fn new(file: LedgerFile, clock: C, launcher: L, only: Vec<String>, at_once: usize) -> Self {
        Self {
            file,
            clock,
            launcher,
            only,
            at_once,
            own: Vec::new(),
            stopping: false,
        }
    }

    /// Records the runs that ended, settles what is due if asked to, and starts what waits.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub fn turn(&mut self, settling: bool) -> Result<Vec<News>, RunnerError> {
        let now = self.clock.now();
        let ended = self.take_ended();
        let file = self.file.clone();
        file.update(|ledger| {
            let mut news = Vec::new();
            for (name, scheduled, outcome) in ended {
                if let Some(entry) = ledger.schedules.get_mut(&name) {
                    finish(&name, entry, scheduled, outcome, now, &mut news);
                }
            }
            self.find_lost(ledger, now, &mut news);
            if !self.stopping {
                if settling {
                    self.settle_all(ledger, now, &mut news);
                }
                self.start_waiting(ledger, now, &mut news);
            }
            Ok(news)
        })
    }

    /// Whether none of its own sweeps runs.
    pub fn is_idle(&self) -> bool {
        self.own.is_empty()
    }

    /// Starts nothing more, and sends its sweeps a signal.
    pub fn stop(&mut self, signal: i32) {
        self.stopping = true;
        for own in &mut self.own {
            own.launched.signal(signal);
        }
    }

    /// How long nothing is due, `None` without any schedule.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub fn until_next(&self) -> Result<Option<TimeDelta>, RunnerError> {
        let now = self.clock.now();
        let ledger = self.file.read()?;
        let next = ledger
            .schedules
            .iter()
            .filter(|(name, _)| self.is_selected(name))
            .filter_map(|(_, entry)| entry.timetable().ok()?.after(entry.settled))
            .min();
        Ok(next.map(|next| (next - now).max(TimeDelta::zero())))
    }

    fn is_selected(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    fn take_ended(&mut self) -> Vec<(String, DateTime<Utc>, Outcome)> {
        let stopping = self.stopping;
        let mut ended = Vec::new();
        self.own.retain_mut(|own| {
            let Some(outcome) = own.launched.ended() else {
                return true;
            };
            let outcome = match outcome {
                Outcome::Failed { exit_code } if stopping && was_stopped(exit_code) => {
                    Outcome::Stopped
                }
                outcome => outcome,
            };
            ended.push((own.name.clone(), own.scheduled, outcome));
            false
        });
        ended
    }

    /// Sweeps of schedulers that are gone, and that ended meanwhile.
    fn find_lost(&self, ledger: &mut Ledger, now: DateTime<Utc>, news: &mut Vec<News>) {
        for (name, entry) in &mut ledger.schedules {
            let lost: Vec<_> = entry
                .running
                .iter()
                .filter(|running| !self.owns(name, running.scheduled))
                .filter(|running| !self.launcher.is_alive(&running.process))
                .map(|running| running.scheduled)
                .collect();
            for scheduled in lost {
                finish(name, entry, scheduled, Outcome::Lost, now, news);
            }
        }
    }

    fn owns(&self, name: &str, scheduled: DateTime<Utc>) -> bool {
        self.own
            .iter()
            .any(|own| own.name == name && own.scheduled == scheduled)
    }

    fn settle_all(&self, ledger: &mut Ledger, now: DateTime<Utc>, news: &mut Vec<News>) {
        for (name, entry) in &mut ledger.schedules {
            if !self.is_selected(name) {
                continue;
            }
            let mut say = |said| news.push(told(name, said));
            match settle(entry, now) {
                Ok(Settled {
                    skipped,
                    clock_was_wrong,
                    ..
                }) => {
                    if clock_was_wrong {
                        say(Said::ClockWasWrong);
                    }
                    if skipped > 0 {
                        say(Said::Skipped { count: skipped });
                    }
                }
                // One bad schedule must not keep the others from running.
                Err(error) => say(Said::Broken {
                    reason: error.to_string(),
                }),
            }
        }
    }

    /// Starts what may run now, the earliest first.
    fn start_waiting(&mut self, ledger: &mut Ledger, now: DateTime<Utc>, news: &mut Vec<News>) {
        while self.own.len() < self.at_once {
            let next = ledger
                .schedules
                .iter()
                .filter(|(name, entry)| self.is_selected(name) && may_begin(entry))
                .filter_map(|(name, entry)| Some((entry.waiting.first()?.scheduled, name.clone())))
                .min();
            let Some((_, name)) = next else { return };
            if let Some(entry) = ledger.schedules.get_mut(&name) {
                self.start(&name, entry, now, news);
            }
        }
    }

    fn start(&mut self, name: &str, entry: &mut Entry, now: DateTime<Utc>, news: &mut Vec<News>) {
        let Waiting { scheduled, begun } = entry.waiting.remove(0);
        let attempt = begun + 1;
        match self
            .launcher
            .launch(name, &entry.schedule, scheduled, attempt)
        {
            Ok(launched) => {
                let log = launched.log().to_owned();
                entry.running.push(Running {
                    scheduled,
                    attempt,
                    started: now,
                    process: launched.process(),
                    log: log.clone(),
                });
                self.own.push(Own {
                    name: name.to_owned(),
                    scheduled,
                    launched,
                });
                let said = Said::Started {
                    scheduled,
                    attempt,
                    log,
                };
                news.push(told(name, said));
            }
            Err(error) => {
                let outcome = Outcome::NotStarted {
                    reason: error.to_string(),
                };
                entry.remember(Run {
                    scheduled,
                    started: now,
                    ended: now,
                    outcome: outcome.clone(),
                    log: Default::default(),
                });
                let said = Said::Ended {
                    scheduled,
                    outcome,
                    goes_on: false,
                    log: Default::default(),
                };
                news.push(told(name, said));
            }
        }
    }
}

fn may_begin(entry: &Entry) -> bool {
    entry.schedule.overlap || entry.running.is_empty()
}

/// By the signal that it was sent, in its own good order or not.
fn was_stopped(exit_code: Option<i32>) -> bool {
    exit_code.is_none_or(|code| code == ExitCode::Interrupted as i32)
}

/// Records the end of a run. One that was cut short waits again, before all others.
fn finish(
    name: &str,
    entry: &mut Entry,
    scheduled: DateTime<Utc>,
    outcome: Outcome,
    now: DateTime<Utc>,
    news: &mut Vec<News>,
) {
    let position = entry
        .running
        .iter()
        .position(|running| running.scheduled == scheduled);
    let Some(position) = position else { return };
    let running = entry.running.remove(position);
    let goes_on =
        matches!(outcome, Outcome::Stopped | Outcome::Lost) && running.attempt < BEGINNINGS;
    if goes_on {
        let waiting = Waiting {
            scheduled,
            begun: running.attempt,
        };
        entry.waiting.insert(0, waiting);
    }
    entry.remember(Run {
        scheduled,
        started: running.started,
        ended: now,
        outcome: outcome.clone(),
        log: running.log.clone(),
    });
    let said = Said::Ended {
        scheduled,
        outcome,
        goes_on,
        log: running.log,
    };
    news.push(told(name, said));
}

fn told(name: &str, said: Said) -> News {
    News {
        schedule: name.to_owned(),
        said,
    }
}

#[cfg(test)]
mod tests {
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
}
