//! Decides which missed and due occurrences run.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::{MissedPolicy, PendingRun, ScheduleEntry, ScheduleError};

/// An occurrence that is decided at most this late is on time, not missed.
pub const GRACE_PERIOD: TimeDelta = TimeDelta::minutes(10);

/// If the clock is this far behind the last decision, it was wrong then: no correction and no change
/// of time zone is larger.
const MIN_CLOCK_ERROR: TimeDelta = TimeDelta::hours(25);

/// The most runs that may be pending; a longer queue is a mistake, so the earliest are skipped.
const MAX_PENDING: usize = 100;

/// What catching up decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CatchUp {
    /// Occurrences that are to run.
    pub queued: usize,
    /// Occurrences that were missed and do not run.
    pub skipped: usize,
    /// Whether the clock had been far ahead; the schedule then continues from the present.
    pub clock_was_ahead: bool,
}

/// Decides every occurrence up to `now` that is not yet decided, exactly once.
///
/// Calling it again at the same time, or after the clock was set back, changes nothing.
///
/// # Errors
/// [`ScheduleError`], if the entry has no valid recurrence.
pub fn catch_up(entry: &mut ScheduleEntry, now: DateTime<Utc>) -> Result<CatchUp, ScheduleError> {
    if now <= entry.decided_until {
        if entry.decided_until - now < MIN_CLOCK_ERROR {
            return Ok(CatchUp::default());
        }
        entry.decided_until = now;
        return Ok(CatchUp {
            clock_was_ahead: true,
            ..CatchUp::default()
        });
    }
    let recurrence = entry.recurrence()?;
    let mut count = 0;
    let mut due = VecDeque::new();
    for occurrence in recurrence
        .iter_after(entry.decided_until)
        .take_while(|occurrence| *occurrence <= now)
    {
        count += 1;
        if due.len() == MAX_PENDING {
            due.pop_front();
        }
        due.push_back(occurrence);
    }
    entry.decided_until = now;
    let queued = enqueue(entry, due, now);
    Ok(CatchUp {
        queued: queued.len(),
        skipped: count - queued.len(),
        clock_was_ahead: false,
    })
}

/// Appends those of `due` that are to run to the pending runs, and returns them.
fn enqueue(
    entry: &mut ScheduleEntry,
    mut due: VecDeque<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Vec<DateTime<Utc>> {
    let Some(latest) = due.back().copied() else {
        return Vec::new();
    };
    let is_blocked = !entry.schedule.overlap && !entry.active.is_empty();
    let queued = match entry.schedule.missed {
        MissedPolicy::RunOnce => {
            // An older occurrence that has not started yet is superseded; one that was cut short
            // still continues.
            entry.pending.retain(|run| run.starts > 0);
            vec![latest]
        }
        MissedPolicy::Skip if is_blocked || now - latest > GRACE_PERIOD => Vec::new(),
        MissedPolicy::Skip => vec![latest],
        MissedPolicy::All => due.drain(..).collect(),
    };
    entry
        .pending
        .extend(queued.iter().map(|&scheduled| PendingRun {
            scheduled,
            starts: 0,
        }));
    let surplus = entry.pending.len().saturating_sub(MAX_PENDING);
    entry.pending.drain(..surplus);
    queued
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;

    use super::super::{ActiveRun, ProcessIdentity, Schedule};
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn entry(cron: &str, missed: MissedPolicy, since: &str) -> ScheduleEntry {
        let schedule = Schedule {
            cron: cron.to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            sweep: PathBuf::from("/lab/nightly.toml"),
            folder: PathBuf::from("/lab"),
            arguments: Vec::new(),
            missed,
            overlap: false,
        };
        ScheduleEntry::new(schedule, utc(since))
    }

    fn active(scheduled: &str) -> ActiveRun {
        ActiveRun {
            scheduled: utc(scheduled),
            attempt: 1,
            started: utc(scheduled),
            process: ProcessIdentity {
                id: 1,
                start_time: 1,
                boot_id: String::new(),
            },
            log: PathBuf::new(),
        }
    }

    fn pending(entry: &ScheduleEntry) -> Vec<String> {
        entry
            .pending
            .iter()
            .map(|run| run.scheduled.format("%m-%dT%H:%M").to_string())
            .collect()
    }

    #[test]
    fn three_missed_nights_run_once_not_at_all_or_each() {
        for (missed, expected, skipped) in [
            (MissedPolicy::RunOnce, vec!["01-03T01:30"], 2),
            (MissedPolicy::Skip, vec![], 3),
            (
                MissedPolicy::All,
                vec!["01-01T01:30", "01-02T01:30", "01-03T01:30"],
                0,
            ),
        ] {
            let mut entry = entry("30 2 * * *", missed, "2025-12-31T12:00:00Z");
            let decided = catch_up(&mut entry, utc("2026-01-03T08:00:00Z")).unwrap();
            assert_eq!(pending(&entry), expected, "{missed:?}");
            assert_eq!(decided.skipped, skipped, "{missed:?}");
        }
    }

    #[test]
    fn an_occurrence_ten_minutes_late_is_on_time_for_skip_too() {
        let mut on_time = entry("30 2 * * *", MissedPolicy::Skip, "2025-12-31T12:00:00Z");
        catch_up(&mut on_time, utc("2026-01-03T01:40:00Z")).unwrap();
        assert_eq!(
            pending(&on_time),
            ["01-03T01:30"],
            "the earlier nights are missed"
        );
        let mut late = entry("30 2 * * *", MissedPolicy::Skip, "2025-12-31T12:00:00Z");
        catch_up(&mut late, utc("2026-01-03T01:40:01Z")).unwrap();
        assert_eq!(late.pending, []);
    }

    #[test]
    fn occurrences_during_an_active_run_are_missed() {
        let mut once = entry("30 2 * * *", MissedPolicy::RunOnce, "2026-01-01T12:00:00Z");
        once.active.push(active("2026-01-01T01:30:00Z"));
        catch_up(&mut once, utc("2026-01-02T01:30:00Z")).unwrap();
        catch_up(&mut once, utc("2026-01-03T01:30:00Z")).unwrap();
        assert_eq!(pending(&once), ["01-03T01:30"], "one run replaces both");
        let mut skip = entry("30 2 * * *", MissedPolicy::Skip, "2026-01-01T12:00:00Z");
        skip.active.push(active("2026-01-01T01:30:00Z"));
        catch_up(&mut skip, utc("2026-01-02T01:30:00Z")).unwrap();
        assert_eq!(skip.pending, []);
        skip.schedule.overlap = true;
        catch_up(&mut skip, utc("2026-01-03T01:30:00Z")).unwrap();
        assert_eq!(pending(&skip), ["01-03T01:30"]);
    }

    #[test]
    fn a_run_that_was_cut_short_continues_before_the_next_one() {
        let mut entry = entry("30 2 * * *", MissedPolicy::RunOnce, "2026-01-02T12:00:00Z");
        entry.pending.push(PendingRun {
            scheduled: utc("2026-01-02T01:30:00Z"),
            starts: 1,
        });
        catch_up(&mut entry, utc("2026-01-03T01:30:00Z")).unwrap();
        assert_eq!(pending(&entry), ["01-02T01:30", "01-03T01:30"]);
    }

    #[test]
    fn nothing_runs_twice_after_the_clock_is_set_back() {
        let mut entry = entry("0 * * * *", MissedPolicy::All, "2026-01-01T00:30:00Z");
        catch_up(&mut entry, utc("2026-01-01T05:30:00Z")).unwrap();
        assert_eq!(entry.pending.len(), 5);
        for earlier in [
            "2026-01-01T01:10:00Z",
            "2026-01-01T03:00:00Z",
            "2026-01-01T05:30:00Z",
        ] {
            assert_eq!(
                catch_up(&mut entry, utc(earlier)).unwrap(),
                CatchUp::default()
            );
        }
        catch_up(&mut entry, utc("2026-01-01T06:00:00Z")).unwrap();
        assert_eq!(entry.pending.len(), 6);
    }

    #[test]
    fn a_clock_that_was_years_ahead_does_not_stop_the_schedule() {
        let mut entry = entry("30 2 * * *", MissedPolicy::RunOnce, "2026-01-01T12:00:00Z");
        catch_up(&mut entry, utc("2038-01-19T03:14:08Z")).unwrap();
        assert_eq!(entry.pending.len(), 1);
        entry.pending.clear();
        let decided = catch_up(&mut entry, utc("2026-01-01T12:05:00Z")).unwrap();
        assert!(decided.clock_was_ahead);
        catch_up(&mut entry, utc("2026-01-02T01:30:00Z")).unwrap();
        assert_eq!(pending(&entry), ["01-02T01:30"]);
    }

    #[test]
    fn a_year_of_missed_occurrences_does_not_all_run() {
        let mut entry = entry("*/5 * * * *", MissedPolicy::All, "2025-01-01T00:00:00Z");
        let decided = catch_up(&mut entry, utc("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(
            (decided.queued, decided.skipped),
            (100, 365 * 24 * 12 - 100)
        );
        assert_eq!(pending(&entry).last().unwrap(), "01-01T00:00");
    }

    fn missed() -> impl Strategy<Value = MissedPolicy> {
        prop::sample::select(vec![
            MissedPolicy::RunOnce,
            MissedPolicy::Skip,
            MissedPolicy::All,
        ])
    }

    /// Minutes between two calls, some of them negative.
    fn pauses() -> impl Strategy<Value = Vec<i64>> {
        prop::collection::vec(prop_oneof![0_i64..90, 0_i64..3000, -180_i64..0], 1..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn a_second_call_at_the_same_time_changes_nothing(missed in missed(), pauses in pauses()) {
            let mut entry = entry("30 2,14 * * *", missed, "2026-03-20T00:00:00Z");
            let mut now = entry.decided_until;
            for pause in pauses {
                now += TimeDelta::minutes(pause);
                catch_up(&mut entry, now).unwrap();
                let before = entry.clone();
                prop_assert_eq!(catch_up(&mut entry, now).unwrap(), CatchUp::default());
                prop_assert_eq!(&entry, &before);
            }
        }

        /// Whatever the clock does, no occurrence is queued twice, and `all` queues every one.
        #[test]
        fn every_occurrence_is_decided_once(missed in missed(), pauses in pauses()) {
            let mut entry = entry("30 2,14 * * *", missed, "2026-10-20T00:00:00Z");
            let start = entry.decided_until;
            let (mut now, mut latest) = (start, start);
            let (mut seen, mut skipped) = (Vec::new(), 0);
            for pause in pauses {
                now += TimeDelta::minutes(pause);
                latest = latest.max(now);
                let decided = catch_up(&mut entry, now).unwrap();
                prop_assert!(!decided.clock_was_ahead);
                prop_assert!(missed != MissedPolicy::RunOnce || decided.queued <= 1, "run-once runs once");
                skipped += decided.skipped;
                seen.extend(entry.pending.drain(..).map(|run| run.scheduled));
            }
            prop_assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
            let recurrence = entry.recurrence().unwrap();
            let all: Vec<_> = recurrence.iter_after(start).take_while(|next| *next <= latest).collect();
            prop_assert_eq!(all.len(), seen.len() + skipped);
            prop_assert!(seen.iter().all(|scheduled| all.contains(scheduled)));
            prop_assert!(missed != MissedPolicy::All || skipped == 0);
        }
    }
}
