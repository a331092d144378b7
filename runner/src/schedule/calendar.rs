//! Cron expressions in the syntax of systemd's `OnCalendar=`.

use std::ops::RangeInclusive;

use croner::Cron;

/// The calendar events whose union is a cron expression. None if systemd cannot express it: the last
/// day of a month, the nearest weekday, the n-th Monday.
pub(super) fn calendar_events(expression: &str, cron: &Cron) -> Option<Vec<String>> {
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
    /// croner's flag for a value that matches without further conditions.
    const MATCHES: u8 = 1;
    let minutes = values(0..=59, |minute| {
        pattern.minutes.is_bit_set(minute.into(), MATCHES).ok()
    });
    let hours = values(0..=23, |hour| {
        pattern.hours.is_bit_set(hour.into(), MATCHES).ok()
    });
    let days = values(1..=31, |day| {
        pattern.days.is_bit_set(day.into(), MATCHES).ok()
    });
    let months = values(1..=12, |month| {
        pattern.months.is_bit_set(month.into(), MATCHES).ok()
    });
    let weekdays: Vec<&str> = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
        .into_iter()
        .zip(0_u8..)
        .filter(|(_, number)| {
            pattern
                .days_of_week
                .is_bit_set((*number).into(), MATCHES)
                .unwrap_or(false)
        })
        .map(|(name, _)| name)
        .collect();
    let time = format!("{hours}:{minutes}:00");
    let by_day = format!("*-{months}-{days} {time}");
    let by_weekday = format!("{} *-{months}-* {time}", weekdays.join(","));
    let is_any = |field: &str| field == "*" || field == "?";
    // As in Vixie cron: if both day and weekday are restricted, either may match.
    Some(match (is_any(day_field), is_any(weekday_field)) {
        (_, true) => vec![by_day],
        (true, false) => vec![by_weekday],
        (false, false) => vec![by_day, by_weekday],
    })
}

/// The values of a field that match; `*` if all do.
fn values(range: RangeInclusive<u8>, matches: impl Fn(u8) -> Option<bool>) -> String {
    let all = range.clone().count();
    let matching: Vec<String> = range
        .filter(|&value| matches(value) == Some(true))
        .map(|value| format!("{value:02}"))
        .collect();
    if matching.len() == all {
        "*".to_owned()
    } else {
        matching.join(",")
    }
}
