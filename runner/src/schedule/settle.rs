use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::{Entry, Missed, ScheduleError, Waiting};

/// Occurrences that are no later than this are on time.
pub const GRACE: TimeDelta = TimeDelta::minutes(10);

/// A clock that is this far behind what was settled had been wrong when it was: no correction,
/// leap second or change of the time zone is larger.
const WRONG_CLOCK: TimeDelta = TimeDelta::hours(25);

/// Of occurrences that all are to run, more than these are a mistake: the earlier ones are
/// skipped.
const LIMIT: usize = 100;

/// What settling found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Occurrences that now wait to run.
    pub queued: usize,
    /// Occurrences that do not run.
    pub skipped: usize,
    /// The clock had been far ahead, and the schedule goes on from the present.
    pub clock_was_wrong: bool,
}

/// Decides every occurrence up to `now` that is not decided yet.
///
/// Doing it again at the same time, or at an earlier one, changes nothing.
///
/// # Errors
/// When the schedule has no timetable.
pub fn settle(entry: &mut Entry, now: DateTime<Utc>) -> Result<Settled, ScheduleError> {
    if now <= entry.settled {
        if entry.settled - now < WRONG_CLOCK {
            return Ok(Settled::default());
        }
        entry.settled = now;
        return Ok(Settled {
            clock_was_wrong: true,
            ..Settled::default()
        });
    }
    let timetable = entry.timetable()?;
    let mut count = 0;
    let mut due = VecDeque::new();
    for occurrence in timetable
        .all_after(entry.settled)
        .take_while(|occurrence| *occurrence <= now)
    {
        count += 1;
        if due.len() == LIMIT {
            due.pop_front();
        }
        due.push_back(occurrence);
    }
    entry.settled = now;
    let queued = queue(entry, due, now);
    Ok(Settled {
        queued: queued.len(),
        skipped: count - queued.len(),
        clock_was_wrong: false,
    })
}

/// Puts those of `due` that are to run behind what waits already, and gives them.
fn queue(
    entry: &mut Entry,
    mut due: VecDeque<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<DateTime<Utc>> {
    let Some(latest) = due.back().copied() else {
        return Vec::new();
    };
    let occupied = !entry.schedule.overlap && !entry.running.is_empty();
    let kept = match entry.schedule.missed {
        Missed::RunOnce => {
            // One that never began and waits for the same run to end is older still.
            entry.waiting.retain(|waiting| waiting.begun > 0);
            vec![latest]
        }
        Missed::Skip if occupied || now - latest > GRACE => Vec::new(),
        Missed::Skip => vec![latest],
        Missed::All => due.drain(..).collect(),
    };
    entry.waiting.extend(kept.iter().map(|&scheduled| Waiting {
        scheduled,
        begun: 0,
    }));
    let surplus = entry.waiting.len().saturating_sub(LIMIT);
    entry.waiting.drain(..surplus);
    kept
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::super::{Process, Running, Schedule};
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn entry(cron: &str, missed: Missed, since: &str) -> Entry {
        let schedule = Schedule {
            cron: cron.to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            sweep: PathBuf::from("/lab/nightly.toml"),
            folder: PathBuf::from("/lab"),
            arguments: Vec::new(),
            missed,
            overlap: false,
        };
        Entry::new(schedule, utc(since))
    }

    fn running(scheduled: &str) -> Running {
        Running {
            scheduled: utc(scheduled),
            attempt: 1,
            started: utc(scheduled),
            process: Process {
                id: 1,
                start: 1,
                boot: String::new(),
            },
            log: PathBuf::new(),
        }
    }

    fn waiting(entry: &Entry) -> Vec<String> {
        entry
            .waiting
            .iter()
            .map(|waiting| waiting.scheduled.format("%m-%dT%H:%M").to_string())
            .collect()
    }

    #[test]
    fn a_machine_that_slept_through_three_nights_runs_once_or_not_or_each() {
        for (missed, expected, skipped) in [
            (Missed::RunOnce, vec!["01-03T01:30"], 2),
            (Missed::Skip, vec![], 3),
            (
                Missed::All,
                vec!["01-01T01:30", "01-02T01:30", "01-03T01:30"],
                0,
            ),
        ] {
            let mut entry = entry("30 2 * * *", missed, "2025-12-31T12:00:00Z");
            let settled = settle(&mut entry, utc("2026-01-03T08:00:00Z")).unwrap();
            assert_eq!(waiting(&entry), expected, "{missed:?}");
            assert_eq!(settled.skipped, skipped, "{missed:?}");
        }
    }

    #[test]
    fn what_is_ten_minutes_late_is_on_time_also_for_skip() {
        let mut on_time = entry("30 2 * * *", Missed::Skip, "2025-12-31T12:00:00Z");
        settle(&mut on_time, utc("2026-01-03T01:40:00Z")).unwrap();
        assert_eq!(
            waiting(&on_time),
            ["01-03T01:30"],
            "the nights before are missed"
        );
        let mut late = entry("30 2 * * *", Missed::Skip, "2025-12-31T12:00:00Z");
        settle(&mut late, utc("2026-01-03T01:40:01Z")).unwrap();
        assert_eq!(late.waiting, []);
    }

    #[test]
    fn nights_that_pass_while_a_run_goes_on_are_missed() {
        let mut once = entry("30 2 * * *", Missed::RunOnce, "2026-01-01T12:00:00Z");
        once.running.push(running("2026-01-01T01:30:00Z"));
        settle(&mut once, utc("2026-01-02T01:30:00Z")).unwrap();
        settle(&mut once, utc("2026-01-03T01:30:00Z")).unwrap();
        assert_eq!(waiting(&once), ["01-03T01:30"], "one run makes up for both");
        let mut skip = entry("30 2 * * *", Missed::Skip, "2026-01-01T12:00:00Z");
        skip.running.push(running("2026-01-01T01:30:00Z"));
        settle(&mut skip, utc("2026-01-02T01:30:00Z")).unwrap();
        assert_eq!(skip.waiting, []);
        skip.schedule.overlap = true;
        settle(&mut skip, utc("2026-01-03T01:30:00Z")).unwrap();
        assert_eq!(waiting(&skip), ["01-03T01:30"]);
    }

    #[test]
    fn a_run_that_was_cut_short_goes_on_before_the_next_one() {
        let mut entry = entry("30 2 * * *", Missed::RunOnce, "2026-01-02T12:00:00Z");
        entry.waiting.push(Waiting {
            scheduled: utc("2026-01-02T01:30:00Z"),
            begun: 1,
        });
        settle(&mut entry, utc("2026-01-03T01:30:00Z")).unwrap();
        assert_eq!(waiting(&entry), ["01-02T01:30", "01-03T01:30"]);
    }

    #[test]
    fn a_clock_that_is_set_back_runs_nothing_twice() {
        let mut entry = entry("0 * * * *", Missed::All, "2026-01-01T00:30:00Z");
        settle(&mut entry, utc("2026-01-01T05:30:00Z")).unwrap();
        assert_eq!(entry.waiting.len(), 5);
        for earlier in [
            "2026-01-01T01:10:00Z",
            "2026-01-01T03:00:00Z",
            "2026-01-01T05:30:00Z",
        ] {
            assert_eq!(
                settle(&mut entry, utc(earlier)).unwrap(),
                Settled::default()
            );
        }
        settle(&mut entry, utc("2026-01-01T06:00:00Z")).unwrap();
        assert_eq!(entry.waiting.len(), 6);
    }

    #[test]
    fn a_clock_that_was_years_ahead_does_not_stop_the_schedule_for_years() {
        let mut entry = entry("30 2 * * *", Missed::RunOnce, "2026-01-01T12:00:00Z");
        settle(&mut entry, utc("2038-01-19T03:14:08Z")).unwrap();
        assert_eq!(entry.waiting.len(), 1);
        entry.waiting.clear();
        let settled = settle(&mut entry, utc("2026-01-01T12:05:00Z")).unwrap();
        assert!(settled.clock_was_wrong);
        settle(&mut entry, utc("2026-01-02T01:30:00Z")).unwrap();
        assert_eq!(waiting(&entry), ["01-02T01:30"]);
    }

    #[test]
    fn a_year_of_minutes_does_not_run_half_a_million_times() {
        let mut entry = entry("*/5 * * * *", Missed::All, "2025-01-01T00:00:00Z");
        let settled = settle(&mut entry, utc("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(
            (settled.queued, settled.skipped),
            (100, 365 * 24 * 12 - 100)
        );
        assert_eq!(waiting(&entry).last().unwrap(), "01-01T00:00");
    }

    fn missed() -> impl Strategy<Value = Missed> {
        prop::sample::select(vec![Missed::RunOnce, Missed::Skip, Missed::All])
    }

    /// Pauses between looks, some of them backwards, in minutes.
    fn pauses() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(prop_oneof![0_i64..90, 0_i64..3000, -180_i64..0], 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn looking_twice_at_one_instant_changes_nothing(missed in missed(), pauses in pauses()) {
            let mut entry = entry("30 2,14 * * *", missed, "2026-03-20T00:00:00Z");
            let mut now = entry.settled;
            for pause in pauses {
                now += TimeDelta::minutes(pause);
                settle(&mut entry, now).unwrap();
                let before = entry.clone();
                prop_assert_eq!(settle(&mut entry, now).unwrap(), Settled::default());
                prop_assert_eq!(&entry, &before);
            }
        }

        /// Whatever the clock does, no occurrence is queued twice, and `all` queues each.
        #[test]
        fn every_occurrence_is_decided_once(missed in missed(), pauses in pauses()) {
            let mut entry = entry("30 2,14 * * *", missed, "2026-10-20T00:00:00Z");
            let start = entry.settled;
            let (mut now, mut latest) = (start, start);
            let (mut seen, mut skipped) = (Vec::new(), 0);
            for pause in pauses {
                now += TimeDelta::minutes(pause);
                latest = latest.max(now);
                let settled = settle(&mut entry, now).unwrap();
                prop_assert!(!settled.clock_was_wrong);
                prop_assert!(missed != Missed::RunOnce || settled.queued <= 1, "run-once runs once");
                skipped += settled.skipped;
                seen.extend(entry.waiting.drain(..).map(|waiting| waiting.scheduled));
            }
            prop_assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
            let timetable = entry.timetable().unwrap();
            let all: Vec<_> = timetable.all_after(start).take_while(|next| *next <= latest).collect();
            prop_assert_eq!(all.len(), seen.len() + skipped);
            prop_assert!(seen.iter().all(|scheduled| all.contains(scheduled)));
            prop_assert!(missed != Missed::All || skipped == 0);
        }
    }
}
