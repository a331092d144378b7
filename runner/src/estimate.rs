//! How long the rest of a sweep will take, by the trials that are done.

use std::time::Duration;

use serde::Serialize;

/// An estimate, with what it is made of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Trials that are to run.
    pub left: usize,
    /// How many of them run at once.
    pub workers: usize,
    /// Trials that succeeded: how long they took is all that is known.
    pub finished: usize,
    /// Their mean time, in seconds.
    pub mean_seconds: f64,
    /// The time until the last one is done, in seconds.
    pub seconds: f64,
}

impl Estimate {
    /// From how many seconds each finished trial took; `None` where none finished or none is
    /// left.
    pub fn new(
        finished: impl IntoIterator<Item = f64>,
        left: usize,
        workers: usize,
    ) -> Option<Self> {
        let (count, sum) = finished
            .into_iter()
            .fold((0_usize, 0.0), |(count, sum), seconds| {
                (count + 1, sum + seconds)
            });
        if count == 0 || left == 0 {
            return None;
        }
        let mean = sum / count as f64;
        // They run side by side, but none faster than it runs alone.
        let rounds = (left as f64 / workers.max(1) as f64).max(1.0);
        Some(Self {
            left,
            workers,
            finished: count,
            mean_seconds: mean,
            seconds: mean * rounds,
        })
    }
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let plural = |count: usize, one: &'static str, many: &'static str| {
            if count == 1 { one } else { many }
        };
        write!(
            formatter,
            "{} {} left, about {} with {} {}, by {} finished {} of {} on average",
            self.left,
            plural(self.left, "trial", "trials"),
            in_words(self.seconds),
            self.workers,
            plural(self.workers, "worker", "workers"),
            self.finished,
            plural(self.finished, "trial", "trials"),
            in_words(self.mean_seconds)
        )
    }
}

/// The time that `left` steps will take if they go on as `done` of them went in `elapsed`.
pub fn at_this_pace(done: usize, elapsed: Duration, left: usize) -> Option<f64> {
    (done > 0 && left > 0).then(|| elapsed.as_secs_f64() / done as f64 * left as f64)
}

/// A time with as much precision as an estimate has.
pub fn in_words(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0 => format!("{:.0} ms", seconds * 1000.0),
        1..120 => format!("{whole} s"),
        120..7200 => format!("{} min", (seconds / 60.0).round()),
        7200..172_800 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_takes_its_mean_time_shared_by_the_workers() {
        let estimate = Estimate::new([60.0, 180.0], 90, 3).unwrap();
        assert_eq!(
            estimate.to_string(),
            "90 trials left, about 60 min with 3 workers, by 2 finished trials of 2 min on average"
        );
        assert_eq!(Estimate::new([60.0], 1, 8).unwrap().seconds, 60.0);
        assert_eq!(Estimate::new([], 1, 1), None);
        assert_eq!(Estimate::new([1.0], 0, 1), None);
    }

    #[test]
    fn times_are_told_in_the_units_of_people() {
        let told: Vec<_> = [0.0042, 1.4, 119.0, 121.0, 7199.0, 7800.0, 200_000.0]
            .map(in_words)
            .into();
        assert_eq!(
            told,
            [
                "4 ms",
                "1 s",
                "119 s",
                "2 min",
                "120 min",
                "2 h 10 min",
                "2 d 7 h"
            ]
        );
    }
}
