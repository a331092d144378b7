//! Percentile bootstrap over problems.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::ConfidenceInterval;

/// How to resample. The same values, settings and seed give the same interval on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// Number of resamples.
    pub resamples: usize,
    /// Seed of the generator.
    pub seed: u64,
    /// Confidence level, such as 0.95.
    pub level: f64,
}

/// 10,000 resamples, seed 0, level 0.95.
impl Default for Bootstrap {
    fn default() -> Self {
        Self {
            resamples: 10_000,
            seed: 0,
            level: 0.95,
        }
    }
}

/// A mean over problems and its bootstrap interval.
#[derive(Clone, Debug, PartialEq)]
pub struct BootstrapEstimate {
    /// The mean of the values as given.
    pub estimate: f64,
    /// Percentile interval of the resampled means.
    pub interval: ConfidenceInterval,
    /// Number of problems.
    pub problems: usize,
}

/// Why an interval could not be resampled.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum BootstrapError {
    /// Nothing to resample.
    #[error("failed to bootstrap: {problems} problems, at least 2 are needed")]
    TooFewProblems {
        /// Number of problems given.
        problems: usize,
    },
    /// Before and after are not the same problems.
    #[error("failed to bootstrap: {before} problems before but {after} after")]
    LengthMismatch {
        /// Number of scores before.
        before: usize,
        /// Number of scores after.
        after: usize,
    },
    /// NaN or infinity among the scores.
    #[error("failed to bootstrap: the score of problem {index} is {value}")]
    NotFinite {
        /// Position of the problem.
        index: usize,
        /// The offending value.
        value: f64,
    },
    /// Settings that make no interval.
    #[error("failed to bootstrap: {resamples} resamples at level {level}")]
    Settings {
        /// Number of resamples asked for.
        resamples: usize,
        /// Level asked for.
        level: f64,
    },
}

/// Mean of per-problem scores, with a percentile interval from resampling problems with replacement.
///
/// # Errors
/// Fewer than two problems, a score that is not finite, no resamples, or a level outside (0, 1).
pub fn bootstrap_mean(
    scores: &[f64],
    settings: &Bootstrap,
) -> Result<BootstrapEstimate, BootstrapError> {
    check(scores, settings)?;
    let problems = scores.len();
    let mut generator = ChaCha8Rng::seed_from_u64(settings.seed);
    // Drawn as u64 because the draws of `usize` depend on the width of a pointer.
    let bound = problems as u64;
    let mut means: Vec<f64> = (0..settings.resamples)
        .map(|_| {
            let total: f64 = (0..problems)
                .map(|_| scores[generator.random_range(0..bound) as usize])
                .sum();
            total / problems as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let tail = (1.0 - settings.level) / 2.0;
    Ok(BootstrapEstimate {
        estimate: scores.iter().sum::<f64>() / problems as f64,
        interval: ConfidenceInterval {
            low: quantile(&means, tail),
            high: quantile(&means, 1.0 - tail),
            level: settings.level,
        },
        problems,
    })
}

/// Mean of `after - before` over the same problems (`before[i]` and `after[i]` are one problem), with a percentile
/// interval from resampling problems. Pairing keeps the difficulty of the problems out of the interval.
///
/// # Errors
/// Slices of different lengths, and all of [`bootstrap_mean`].
pub fn bootstrap_mean_difference(
    before: &[f64],
    after: &[f64],
    settings: &Bootstrap,
) -> Result<BootstrapEstimate, BootstrapError> {
    if before.len() != after.len() {
        return Err(BootstrapError::LengthMismatch {
            before: before.len(),
            after: after.len(),
        });
    }
    let differences: Vec<f64> = before
        .iter()
        .zip(after)
        .map(|(before, after)| after - before)
        .collect();
    bootstrap_mean(&differences, settings)
}

fn check(scores: &[f64], settings: &Bootstrap) -> Result<(), BootstrapError> {
    if scores.len() < 2 {
        return Err(BootstrapError::TooFewProblems {
            problems: scores.len(),
        });
    }
    if let Some(index) = scores.iter().position(|score| !score.is_finite()) {
        let value = scores[index];
        return Err(BootstrapError::NotFinite { index, value });
    }
    if settings.resamples == 0 || !(settings.level > 0.0 && settings.level < 1.0) {
        return Err(BootstrapError::Settings {
            resamples: settings.resamples,
            level: settings.level,
        });
    }
    Ok(())
}

/// Quantile of sorted values with linear interpolation (Hyndman and Fan's type 7, numpy's default).
fn quantile(sorted: &[f64], probability: f64) -> f64 {
    let position = probability * (sorted.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = position.ceil() as usize;
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accuracy(correct: usize, problems: usize) -> Vec<f64> {
        (0..problems)
            .map(|problem| f64::from(problem < correct))
            .collect()
    }

    #[test]
    fn the_seed_decides_the_interval() {
        let scores: Vec<f64> = (0..50).map(|i| (i as f64 * 0.37).sin()).collect();
        let run = |seed| {
            let settings = Bootstrap {
                seed,
                ..Bootstrap::default()
            };
            bootstrap_mean(&scores, &settings).unwrap().interval
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn paired_differences_cancel_what_both_share() {
        let before = accuracy(100, 200);
        let mut after = before.clone();
        after[..20].fill(0.0);
        let paired = bootstrap_mean_difference(&before, &after, &Bootstrap::default()).unwrap();
        assert!((paired.estimate + 0.1).abs() < 1e-12);
        assert!(paired.interval.high < 0.0, "20 of 200 lost is no noise");
        // Unpaired, the spread of the problems would give about +-0.098 instead of +-0.042.
        assert!(paired.interval.width() < 0.1);
    }

    #[test]
    fn no_change_anywhere_has_no_width() {
        let scores = accuracy(60, 200);
        let same = bootstrap_mean_difference(&scores, &scores, &Bootstrap::default()).unwrap();
        assert_eq!((same.estimate, same.interval.width()), (0.0, 0.0));
    }

    #[test]
    fn bad_input_is_named() {
        let settings = Bootstrap::default();
        let message =
            |result: Result<BootstrapEstimate, BootstrapError>| result.unwrap_err().to_string();
        assert_eq!(
            message(bootstrap_mean(&[1.0], &settings)),
            "failed to bootstrap: 1 problems, at least 2 are needed"
        );
        assert_eq!(
            message(bootstrap_mean(&[1.0, f64::NAN], &settings)),
            "failed to bootstrap: the score of problem 1 is NaN"
        );
        assert_eq!(
            message(bootstrap_mean_difference(&[1.0], &[1.0, 0.0], &settings)),
            "failed to bootstrap: 1 problems before but 2 after"
        );
        let none = Bootstrap {
            resamples: 0,
            ..settings
        };
        assert!(bootstrap_mean(&[1.0, 0.0], &none).is_err());
    }
}
