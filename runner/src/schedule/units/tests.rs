use std::path::PathBuf;
use std::process::Command;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::super::{MissedPolicy, Recurrence, Schedule};
use super::*;

fn entry(cron: &str) -> ScheduleEntry {
    let schedule = Schedule {
        cron: cron.to_owned(),
        timezone: "Europe/Berlin".to_owned(),
        sweep: PathBuf::from("/lab/50% done/nightly.toml"),
        folder: PathBuf::from("/lab"),
        arguments: Vec::new(),
        missed: MissedPolicy::RunOnce,
        overlap: false,
    };
    ScheduleEntry::new(schedule, DateTime::UNIX_EPOCH)
}

fn units(cron: &str) -> Vec<Unit> {
    let variables = [("OFFMODEL_CACHE".to_owned(), "/big disk/cache".to_owned())];
    let context = UnitContext {
        program: Path::new("/opt/offmodel/offmodel"),
        state: Path::new("/home/ada/.local/state/offmodel/schedules"),
        variables: &variables,
    };
    let mut units = schedule_units("nightly", &entry(cron), &context)
        .unwrap()
        .to_vec();
    units.push(daemon_unit(&context));
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
    let recurrence = Recurrence::parse(expression, "UTC").unwrap();
    calendar_events(expression, recurrence.cron())
}

#[test]
fn cron_expressions_become_calendar_events_if_systemd_can_express_them() {
    let joined = |expression| events(expression).unwrap().join(" | ");
    assert_eq!(joined("30 2 * * *"), "*-*-* 02:30:00");
    assert_eq!(joined("*/20 6-8 * * *"), "*-*-* 06,07,08:00,20,40:00");
    assert_eq!(
        joined("0 4 1 * MON"),
        "*-*-01 04:00:00 | Mon *-*-* 04:00:00"
    );
    assert_eq!(joined("@weekly"), "Sun *-*-* 00:00:00");
    assert_eq!(joined("0 0 * jan,jul 7"), "Sun *-01,07-* 00:00:00");
    for inexpressible in ["0 0 L * *", "0 0 15W * *", "0 0 * * 5#2", "0 0 * * 5L"] {
        assert_eq!(events(inexpressible), None, "{inexpressible}");
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
fn systemd_accepts_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("off model");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let variables = [("OFFMODEL_CACHE".to_owned(), "/a \"b\" 5%".to_owned())];
    let context = UnitContext {
        program: &program,
        state: folder.path(),
        variables: &variables,
    };
    let mut written = schedule_units("nightly", &entry("0 4 1 * MON"), &context)
        .unwrap()
        .to_vec();
    written.push(daemon_unit(&context));
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
    let output = String::from_utf8_lossy(&output.stderr);
    // Without a user session, systemd also complains about other units.
    let ours: Vec<&str> = output
        .lines()
        .filter(|line| line.contains("offmodel-"))
        .collect();
    assert!(ours.is_empty(), "{output}");
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
    fn systemd_computes_the_same_occurrences(
        minute in field(0, 59), hour in field(0, 23), day in field(1, 28),
        month in field(1, 12), weekday in field(0, 6),
    ) {
        let expression = format!("{minute} {hour} {day} {month} {weekday}");
        let start = "2026-01-31T23:59:00Z";
        let recurrence = Recurrence::parse(&expression, "UTC").unwrap();
        let ours: Vec<String> = recurrence
            .iter_after(start.parse::<DateTime<Utc>>().unwrap())
            .take(5)
            .map(|time| time.format("%Y-%m-%d %H:%M:%S UTC").to_string())
            .collect();
        let mut theirs = std::collections::BTreeSet::new();
        for event in calendar_events(&expression, recurrence.cron()).unwrap() {
            let base = "--base-time=2026-01-31 23:59:00 UTC";
            let Some(output) = analyze(&["calendar", "--iterations=5", base, &event]) else {
                return Ok(());
            };
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            prop_assert!(output.status.success(), "{}: {}", event, String::from_utf8_lossy(&output.stderr));
            theirs.extend(text.lines().filter_map(|line| {
                let (label, time) = line.trim().split_once(": ")?;
                let is_time = label == "Next elapse" || label.starts_with("Iter");
                // The line begins with the weekday.
                is_time.then(|| time.split_once(' ').map_or(time, |(_, time)| time).to_owned())
            }));
        }
        let theirs: Vec<String> = theirs.into_iter().take(5).collect();
        prop_assert_eq!(ours, theirs, "{}", expression);
    }
}
