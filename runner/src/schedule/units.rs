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
mod tests;
