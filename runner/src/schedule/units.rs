//! Schedules as units of the user's systemd.
//!
//! One timer and one service for each schedule, or one service for the daemon. A timer only says
//! when to look: `offmodel schedule tick` decides what is due, from the ledger, so that a timer
//! that elapses too often does no harm. Beside the exact times it looks once an hour and a minute
//! after the start, because systemd passes over a time that the spring day leaves out, and
//! because runs that were cut short are to go on.

use std::fmt::Write;
use std::path::Path;

use croner::Cron;

use super::{Entry, ScheduleError};

/// Settings of offmodel that a unit repeats, because systemd does not know the shell's. None of
/// them is a secret: those belong into the environment file.
const SETTINGS: [&str; 4] = [
    "OFFMODEL_CACHE",
    "OFFMODEL_MODELS",
    "HF_HOME",
    "HF_HUB_CACHE",
];

/// A unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its file name.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What units are made from, besides schedules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surroundings<'a> {
    /// The program `offmodel`.
    pub program: &'a Path,
    /// The folder of the ledger.
    pub state: &'a Path,
    /// Values of [settings](settings) to repeat.
    pub settings: &'a [(String, String)],
}

/// The settings of this process that units repeat.
pub fn settings() -> Vec<(String, String)> {
    SETTINGS
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect()
}

/// The timer and the service of a schedule.
///
/// # Errors
/// When the schedule has no timetable.
pub fn of_schedule(
    name: &str,
    entry: &Entry,
    surroundings: &Surroundings<'_>,
) -> Result<[Unit; 2], ScheduleError> {
    let timetable = entry.timetable()?;
    let zone = &entry.schedule.timezone;
    let times = match calendar(&entry.schedule.cron, timetable.cron()) {
        Some(times) => times
            .iter()
            .map(|time| format!("OnCalendar={time} {zone}\n"))
            .collect(),
        None => "# More than systemd can say; offmodel looks every minute.\nOnCalendar=minutely\n"
            .to_owned(),
    };
    let sweep = escaped(&entry.schedule.sweep.to_string_lossy());
    let cron = escaped(&entry.schedule.cron);
    let timer = format!(
        "[Unit]\n\
         Description=offmodel schedule {name}: {cron} ({zone})\n\
         \n\
         [Timer]\n\
         {times}\
         OnCalendar=hourly\n\
         OnStartupSec=1min\n\
         AccuracySec=1s\n\
         Persistent=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n"
    );
    let service = service(
        &format!("offmodel schedule {name}: {sweep}"),
        "oneshot",
        &["schedule", "tick", "--only", name],
        surroundings,
        "",
    );
    let unit = |suffix: &str, text| Unit {
        name: format!("offmodel-{name}.{suffix}"),
        text,
    };
    Ok([unit("timer", timer), unit("service", service)])
}

/// The service of the daemon, which keeps all schedules.
pub fn of_daemon(surroundings: &Surroundings<'_>) -> Unit {
    let text = service(
        "offmodel schedules",
        "exec",
        &["schedule", "daemon"],
        surroundings,
        "Restart=on-failure\nRestartSec=30\n",
    );
    Unit {
        name: "offmodel-schedules.service".to_owned(),
        text: format!("{text}\n[Install]\nWantedBy=default.target\n"),
    }
}

fn service(
    description: &str,
    kind: &str,
    arguments: &[&str],
    surroundings: &Surroundings<'_>,
    further: &str,
) -> String {
    let mut command = quoted(&surroundings.program.to_string_lossy());
    let state = surroundings.state.to_string_lossy();
    for argument in arguments.iter().copied().chain(["--state", &state]) {
        command.push(' ');
        command.push_str(&quoted(argument));
    }
    let mut environment = String::new();
    for (name, value) in surroundings.settings {
        // Writing to a string cannot fail.
        let _ = writeln!(
            environment,
            "Environment={}",
            quoted(&format!("{name}={value}"))
        );
    }
    format!(
        "[Unit]\n\
         Description={description}\n\
         \n\
         [Service]\n\
         Type={kind}\n\
         ExecStart={command}\n\
         {environment}\
         # Keys of interfaces, one NAME=VALUE a line; readable by you alone.\n\
         EnvironmentFile=-%h/.config/offmodel/environment\n\
         # The scheduler passes the signal on, and waits until the sweep has stopped in order.\n\
         KillMode=mixed\n\
         TimeoutStartSec=infinity\n\
         TimeoutStopSec=60\n\
         # Stopped in order.\n\
         SuccessExitStatus=130\n\
         {further}"
    )
}

/// A word of a command line: systemd splits at spaces, and expands `%` and `$`.
fn quoted(word: &str) -> String {
    let word = escaped(word).replace('$', "$$");
    let plain = |c: char| c.is_alphanumeric() || "/._-=%$:@+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    let word = word.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", word.replace('\n', "\\n"))
}

fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

/// A cron expression as calendar events of systemd, any of which is an occurrence; `None` if it
/// has what those cannot say (the last day, the nearest weekday, the n-th Monday).
fn calendar(expression: &str, cron: &Cron) -> Option<Vec<String>> {
    let nickname = match expression.trim().to_ascii_lowercase().as_str() {
        "@yearly" | "@annually" => Some("0 0 1 1 *"),
        "@monthly" => Some("0 0 1 * *"),
        "@weekly" => Some("0 0 * * 0"),
        "@daily" => Some("0 0 * * *"),
        "@hourly" => Some("0 * * * *"),
        _ => None,
    };
    let fields: Vec<&str> = nickname.unwrap_or(expression).split_whitespace().collect();
    let [_, _, day_field, _, weekday_field] = fields[..] else {
        return None;
    };
    let special = |field: &str, marks: &[char]| field.to_ascii_uppercase().contains(marks);
    if special(day_field, &['L', 'W']) || special(weekday_field, &['L', '#', '+']) {
        return None;
    }
    let pattern = &cron.pattern;
    // croner's bit for a value that is taken without further conditions.
    const TAKEN: u8 = 1;
    let minutes = values(0..=59, |minute| {
        pattern.minutes.is_bit_set(minute.into(), TAKEN).ok()
    });
    let hours = values(0..=23, |hour| {
        pattern.hours.is_bit_set(hour.into(), TAKEN).ok()
    });
    let days = values(1..=31, |day| {
        pattern.days.is_bit_set(day.into(), TAKEN).ok()
    });
    let months = values(1..=12, |month| {
        pattern.months.is_bit_set(month.into(), TAKEN).ok()
    });
    let weekdays: Vec<&str> = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        .into_iter()
        .zip(0_u8..)
        .filter(|(_, number)| {
            pattern
                .days_of_week
                .is_bit_set((*number).into(), TAKEN)
                .unwrap_or(false)
        })
        .map(|(name, _)| name)
        .collect();
    let time = format!("{hours}:{minutes}:00");
    let by_day = format!("*-{months}-{days} {time}");
    let by_weekday = format!("{} *-{months}-* {time}", weekdays.join(","));
    let is_any = |field: &str| field == "*" || field == "?";
    // Vixie cron: where both are restricted, either is enough.
    Some(match (is_any(day_field), is_any(weekday_field)) {
        (_, true) => vec![by_day],
        (true, false) => vec![by_weekday],
        (false, false) => vec![by_day, by_weekday],
    })
}

/// The values of a field that are taken, `*` if all are.
fn values(range: std::ops::RangeInclusive<u8>, is_taken: impl Fn(u8) -> Option<bool>) -> String {
    let all = range.clone().count();
    let taken: Vec<String> = range
        .filter(|&value| is_taken(value) == Some(true))
        .map(|value| format!("{value:02}"))
        .collect();
    if taken.len() == all {
        "*".to_owned()
    } else {
        taken.join(",")
    }
}

#[cfg(test)]
mod tests {
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
            println!("skipped: no systemd-analyze");
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
}
