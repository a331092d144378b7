//! Estimates how long the rest of a sweep takes, from the times of finished trials.

use std::time::Duration;

use serde::Serialize;

/// An estimate with the numbers that it is made from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// How many trials are still to run.
    pub left: usize,
    /// How many trials run at the same time.
    pub workers: usize,
    /// How many trials have succeeded.
    pub finished: usize,
    /// The mean time of those trials, in seconds.
    pub mean_seconds: f64,
    /// The time until the last trial is done, in seconds.
    pub seconds: f64,
}

impl Estimate {
    /// Estimates from the seconds that each finished trial took. `None` if no trial has finished or
    /// none is left.
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
        // However many workers there are, the rest takes at least as long as one trial.
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

/// The seconds that `left` steps take if each takes as long as the `done` steps in `elapsed` did.
pub fn at_this_pace(done: usize, elapsed: Duration, left: usize) -> Option<f64> {
    (done > 0 && left > 0).then(|| elapsed.as_secs_f64() / done as f64 * left as f64)
}

/// A time in words, rounded as an estimate deserves.
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
    fn an_estimate_is_the_mean_time_divided_among_workers() {
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
    fn times_have_the_unit_that_fits_their_size() {
        let words: Vec<_> = [0.0042, 1.4, 119.0, 121.0, 7199.0, 7800.0, 200_000.0]
            .map(in_words)
            .into();
        assert_eq!(
            words,
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
