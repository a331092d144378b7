use std::path::PathBuf;
use std::process::Command;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::super::{Missed, Schedule, Timetable};
use super::*;

fn entry(cron: &str) -> Entry {
    let schedule = Schedule {
        cron: cron.to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        sweep: PathBuf::from("/lab/50% done/nightly.toml"),
        folder: PathBuf::from("/lab"),
        arguments: Vec::new(),
        missed: Missed::RunOnce,
        overlap: false,
    };
    Entry::new(schedule, DateTime::UNIX_EPOCH)
}

fn units(cron: &str) -> Vec<Unit> {
    let settings = [("OFFMODEL_CACHE".to_owned(), "/big disk/cache".to_owned())];
    let surroundings = Surroundings {
        program: Path::new("/opt/offmodel/offmodel"),
        state: Path::new("/home/ada/.local/state/offmodel/schedules"),
        settings: &settings,
    };
    let mut units = of_schedule("nightly", &entry(cron), &surroundings)
        .unwrap()
        .to_vec();
    units.push(of_daemon(&surroundings));
    units
}

fn shown(units: &[Unit]) -> String {
    units
        .iter()
        .map(|unit| format!("# {}\n{}", unit.name, unit.text))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_units_of_a_nightly_sweep() {
    insta::assert_snapshot!(shown(&units("30 2 * * 1-5")));
}

fn events(expression: &str) -> Option<Vec<String>> {
    let timetable = Timetable::parse(expression, "UTC").unwrap();
    calendar(expression, timetable.cron())
}

#[test]
fn cron_expressions_are_calendar_events_where_those_can_say_it() {
    let said = |expression| events(expression).unwrap().join(" | ");
    assert_eq!(said("30 2 * * *"), "*-*-* 02:30:00");
    assert_eq!(said("*/20 6-8 * * *"), "*-*-* 06,07,08:00,20,40:00");
    assert_eq!(said("0 4 1 * MON"), "*-*-01 04:00:00 | Mon *-*-* 04:00:00");
    assert_eq!(said("@weekly"), "Sun *-*-* 00:00:00");
    assert_eq!(said("0 0 * jan,jul 7"), "Sun *-01,07-* 00:00:00");
    for beyond in ["0 0 L * *", "0 0 15W * *", "0 0 * * 5#2", "0 0 * * 5L"] {
        assert_eq!(events(beyond), None, "{beyond}");
    }
    assert!(units("0 0 L * *")[0].text.contains("OnCalendar=minutely"));
}

fn analyze(arguments: &[&str]) -> Option<std::process::Output> {
    let output = Command::new("systemd-analyze")
        .args(arguments)
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .output();
    if output.is_err() {
        offmodel_support::testing::skip("no systemd-analyze (install systemd)");
    }
    output.ok()
}

#[test]
fn systemd_takes_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("off model");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let settings = [("OFFMODEL_CACHE".to_owned(), "/a \"b\" 5%".to_owned())];
    let surroundings = Surroundings {
        program: &program,
        state: folder.path(),
        settings: &settings,
    };
    let mut written = of_schedule("nightly", &entry("0 4 1 * MON"), &surroundings)
        .unwrap()
        .to_vec();
    written.push(of_daemon(&surroundings));
    let mut arguments = vec!["--user".to_owned(), "verify".to_owned()];
    for unit in &written {
        let path = folder.path().join(&unit.name);
        std::fs::write(&path, &unit.text).unwrap();
        arguments.push(path.display().to_string());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let Some(output) = analyze(&arguments) else {
        return;
    };
    let told = String::from_utf8_lossy(&output.stderr);
    // Without a user's session systemd cannot look at the units around ours.
    let ours: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("offmodel-"))
        .collect();
    assert!(ours.is_empty(), "{told}");
}

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        (low..=high).prop_map(|value| value.to_string()),
        (2..=6_u32).prop_map(|step| format!("*/{step}")),
        (low..=high, low..=high).prop_map(|(a, b)| format!("{},{}", a.min(b), a.max(b))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn systemd_has_the_same_occurrences(
        minute in field(0, 59), hour in field(0, 23), day in field(1, 28),
        month in field(1, 12), weekday in field(0, 6),
    ) {
        let expression = format!("{minute} {hour} {day} {month} {weekday}");
        let start = "2026-01-31T23:59:00Z";
        let timetable = Timetable::parse(&expression, "UTC").unwrap();
        let ours: Vec<String> = timetable
            .all_after(start.parse::<DateTime<Utc>>().unwrap())
            .take(5)
            .map(|time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
            .collect();
        let mut theirs = std::collections::BTreeSet::new();
        for event in calendar(&expression, timetable.cron()).unwrap() {
            let base = "--base-time=2026-01-31 23:59:00 UTC";
            let Some(output) = analyze(&["calendar", "--iterations=5", base, &event]) else {
                return Ok(());
            };
            let told = String::from_utf8_lossy(&output.stdout).into_owned();
            prop_assert!(output.status.success(), "{}: {}", event, String::from_utf8_lossy(&output.stderr));
            theirs.extend(told.lines().filter_map(|line| {
                let (label, time) = line.trim().split_once(": ")?;
                let is_time = label == "Next elapse" || label.starts_with("Iter");
                // The weekday comes first.
                is_time.then(|| time.split_once(' ').map_or(time, |(_, time)| time).to_owned())
            }));
        }
        let theirs: Vec<String> = theirs.into_iter().take(5).collect();
        prop_assert_eq!(ours, theirs, "{}", expression);
    }
}
