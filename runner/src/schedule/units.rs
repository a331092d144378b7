//! Units for the user's systemd: a timer and a service per schedule, or one service for the daemon.
//!
//! A timer only calls `offmodel schedule tick`, which decides what is due, so a timer that elapses
//! too often does no harm. Timers therefore elapse not only at the occurrences but also every hour
//! and a minute after boot: systemd skips a time that the spring change of the clock leaves out, and
//! runs that were cut short are to continue.

use std::fmt::Write;
use std::path::Path;

use offmodel_support::environment;
use serde::Serialize;

use super::calendar::calendar_events;
use super::{ScheduleEntry, ScheduleError};

/// Environment variables that a unit sets, because systemd does not read the shell's. None of them
/// is a secret; secrets belong in the unit's environment file.
const COPIED_VARIABLES: [&str; 4] = [
    environment::CACHE,
    environment::MODELS,
    "HF_HOME",
    "HF_HUB_CACHE",
];

/// A unit file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// The file name.
    pub name: String,
    /// The content of the file.
    pub text: String,
}

/// What all units have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitContext<'a> {
    /// The path of the program `offmodel`.
    pub program: &'a Path,
    /// The folder of the schedule store.
    pub state: &'a Path,
    /// The [variables](copied_variables) that units set.
    pub variables: &'a [(String, String)],
}

/// The environment variables of this process that units set.
pub fn copied_variables() -> Vec<(String, String)> {
    COPIED_VARIABLES
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
        .collect()
}

/// The timer and the service of a schedule.
///
/// # Errors
/// [`ScheduleError`], if the schedule has no valid recurrence.
pub fn schedule_units(
    name: &str,
    entry: &ScheduleEntry,
    context: &UnitContext<'_>,
) -> Result<[Unit; 2], ScheduleError> {
    let recurrence = entry.recurrence()?;
    let zone = &entry.schedule.timezone;
    let times = match calendar_events(&entry.schedule.cron, recurrence.cron()) {
        Some(times) => times
            .iter()
            .map(|time| format!("OnCalendar={time} {zone}\n"))
            .collect(),
        None => "# systemd cannot express this schedule; offmodel checks every minute.\nOnCalendar=minutely\n"
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
        context,
        "",
    );
    let unit = |suffix: &str, text| Unit {
        name: format!("offmodel-{name}.{suffix}"),
        text,
    };
    Ok([unit("timer", timer), unit("service", service)])
}

/// The service of the daemon, which runs all schedules.
pub fn daemon_unit(context: &UnitContext<'_>) -> Unit {
    let text = service(
        "offmodel schedules",
        "exec",
        &["schedule", "daemon"],
        context,
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
    context: &UnitContext<'_>,
    options: &str,
) -> String {
    let mut command = quoted(&context.program.to_string_lossy());
    let state = context.state.to_string_lossy();
    for argument in arguments.iter().copied().chain(["--state", &state]) {
        command.push(' ');
        command.push_str(&quoted(argument));
    }
    let mut environment = String::new();
    for (name, value) in context.variables {
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
         {options}"
    )
}

/// Quotes a word of a command line: systemd splits at spaces and expands `%` and `$`.
fn quoted(word: &str) -> String {
    let word = escaped(word).replace('$', "$$");
    let plain = |c: char| c.is_alphanumeric() || "/._-=%$:@+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    let word = word.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", word.replace('\n', "\\n"))
}

/// Escapes `%`, with which systemd begins its specifiers.
fn escaped(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests;
