//! The occurrences of a cron expression in a time zone.

use chrono::{DateTime, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use offmodel_support::suggestion;

use super::ScheduleError;

/// A cron expression in a time zone.
///
/// When the clock changes, occurrences follow Vixie cron: a fixed time that the spring change skips
/// runs at the first moment after the gap, a fixed time that the autumn change repeats runs once,
/// and an expression with `*` in hour or minute follows real time.
#[derive(Debug, Clone)]
pub struct Recurrence {
    cron: Cron,
    zone: Tz,
}

impl Recurrence {
    /// Parses a cron expression of five fields, or a nickname such as `@daily`, and the IANA name of
    /// a time zone.
    ///
    /// # Errors
    /// [`ScheduleError`], if either is unknown or the expression has no occurrence.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, ScheduleError> {
        let zone = zone.parse().map_err(|_| unknown_zone(zone))?;
        // A sixth field for seconds is refused: starting a sweep takes a second itself.
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(expression)
            .map_err(|error| ScheduleError::Expression {
                expression: expression.to_owned(),
                reason: error.to_string(),
            })?;
        let recurrence = Self { cron, zone };
        if recurrence.next_after(Utc::now()).is_none() {
            return Err(ScheduleError::NeverOccurs {
                expression: expression.to_owned(),
            });
        }
        Ok(recurrence)
    }

    /// The first occurrence after an instant.
    pub fn next_after(&self, instant: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = instant.with_timezone(&self.zone);
        let next = self.cron.find_next_occurrence(&local, false).ok()?;
        Some(next.with_timezone(&Utc)).filter(|next| *next > instant)
    }

    /// All occurrences after an instant, in order.
    pub fn iter_after(&self, instant: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        std::iter::successors(self.next_after(instant), |last| self.next_after(*last))
    }

    /// An instant in the time zone.
    pub fn to_local(&self, instant: DateTime<Utc>) -> DateTime<Tz> {
        instant.with_timezone(&self.zone)
    }

    /// The parsed expression.
    pub(super) fn cron(&self) -> &Cron {
        &self.cron
    }
}

fn unknown_zone(zone: &str) -> ScheduleError {
    let names: Vec<&str> = TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
    ScheduleError::TimeZone {
        zone: zone.to_owned(),
        hint: suggestion::hint(zone, &names),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn occurrences(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let recurrence = Recurrence::parse(expression, zone).unwrap();
        recurrence
            .iter_after(utc(from))
            .take(count)
            .map(|instant| recurrence.to_local(instant).to_rfc3339())
            .collect()
    }

    #[test]
    fn a_time_that_the_spring_change_skips_runs_right_after_the_gap() {
        assert_eq!(
            occurrences("30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", 3),
            [
                "2026-03-28T02:30:00+01:00",
                "2026-03-29T03:00:00+02:00",
                "2026-03-30T02:30:00+02:00"
            ]
        );
    }

    #[test]
    fn a_time_that_the_autumn_change_repeats_runs_once() {
        assert_eq!(
            occurrences("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2),
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]
        );
        assert_eq!(
            occurrences("30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", 2),
            ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"]
        );
    }

    #[test]
    fn every_hour_follows_real_time() {
        assert_eq!(
            occurrences("0 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", 2),
            ["2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"]
        );
        assert_eq!(
            occurrences("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 3),
            [
                "2026-10-25T02:00:00+02:00",
                "2026-10-25T02:00:00+01:00",
                "2026-10-25T03:00:00+01:00"
            ]
        );
    }

    #[test]
    fn errors_suggest_what_was_meant() {
        let error = |expression, zone| Recurrence::parse(expression, zone).unwrap_err().to_string();
        assert_eq!(
            error("30 2 * * *", "Europe/Berln"),
            "there is no time zone `Europe/Berln`; did you mean `Europe/Berlin`?; use an IANA name such as Europe/Berlin or UTC"
        );
        assert!(error("30 2 * *", "UTC").starts_with(
            "`30 2 * *` is not a cron expression (minute hour day month weekday, as in \"30 2 * * *\"): "
        ));
        for wrong in ["", "60 2 * * *", "0 30 2 * * *", "@reboot", "ä * * * *"] {
            assert!(
                error(wrong, "UTC").contains("is not a cron expression"),
                "{wrong}"
            );
        }
        assert_eq!(error("0 0 30 2 *", "UTC"), "`0 0 30 2 *` never occurs");
        assert!(Recurrence::parse("@daily", "UTC").is_ok());
        assert!(Recurrence::parse("0 4 * * mon-fri", "UTC").is_ok());
    }

    fn expression() -> impl Strategy<Value = String> {
        let field = |low: u32, high: u32| {
            prop_oneof![
                Just("*".to_owned()),
                (low..=high).prop_map(|value| value.to_string()),
                (1..=high.min(12)).prop_map(|step| format!("*/{step}")),
                (low..=high, low..=high).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
                (low..=high, low..=high).prop_map(|(a, b)| format!("{a},{b}")),
            ]
        };
        (
            field(0, 59),
            field(0, 23),
            field(1, 28),
            field(1, 12),
            field(0, 6),
        )
            .prop_map(|(minute, hour, day, month, weekday)| {
                format!("{minute} {hour} {day} {month} {weekday}")
            })
    }

    fn zone() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec![
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "Africa/Cairo",
            "Pacific/Apia",
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Starts at any instant of ten years, which include every change of the clock.
        #[test]
        fn the_next_occurrence_is_later_and_none_lies_between(
            expression in expression(), zone in zone(), seconds in 0_i64..315_360_000, within in 0.0_f64..1.0,
        ) {
            let recurrence = Recurrence::parse(&expression, zone).unwrap();
            let start = utc("2020-01-01T00:00:00Z") + TimeDelta::seconds(seconds);
            let occurrences: Vec<_> = recurrence.iter_after(start).take(30).collect();
            prop_assert_eq!(occurrences.len(), 30);
            let mut last = start;
            for occurrence in occurrences {
                prop_assert!(occurrence > last, "{} after {}", occurrence, last);
                let between = (occurrence - last).num_seconds() as f64 * within;
                let between = last + TimeDelta::seconds(between as i64);
                if between < occurrence {
                    prop_assert_eq!(recurrence.next_after(between), Some(occurrence), "from {}", between);
                }
                last = occurrence;
            }
        }
    }
}
