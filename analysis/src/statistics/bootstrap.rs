//! Percentile bootstrap over problems (Efron, "Bootstrap methods: another look at the jackknife", Annals
//! of Statistics 7, 1979).

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use thiserror::Error;

use super::ConfidenceInterval;

/// Settings of a bootstrap. The same values and settings give the same interval on every machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Bootstrap {
    /// Number of resamples.
    pub resamples: usize,
    /// Seed of the random number generator.
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

/// A mean over problems with its bootstrap interval.
#[derive(Clone, Debug, PartialEq)]
pub struct BootstrapEstimate {
    /// The mean of the given values.
    pub estimate: f64,
    /// The percentile interval of the resampled means.
    pub interval: ConfidenceInterval,
    /// Number of problems.
    pub problems: usize,
}

/// Why a bootstrap is not possible.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum BootstrapError {
    /// There are too few problems to resample.
    #[error("failed to bootstrap: {problems} problems, at least 2 are needed")]
    TooFewProblems {
        /// Number of problems given.
        problems: usize,
    },
    /// The scores before and after are not of the same problems.
    #[error("failed to bootstrap: {before} problems before but {after} after")]
    LengthMismatch {
        /// Number of scores before.
        before: usize,
        /// Number of scores after.
        after: usize,
    },
    /// A score is NaN or infinite.
    #[error("failed to bootstrap: the score of problem {index} is {value}")]
    NotFinite {
        /// The problem, from 0.
        index: usize,
        /// The score.
        value: f64,
    },
    /// The settings define no interval.
    #[error("failed to bootstrap: {resamples} resamples at level {level}")]
    Settings {
        /// Number of resamples in the settings.
        resamples: usize,
        /// Confidence level in the settings.
        level: f64,
    },
}

/// The mean of per-problem scores, with a percentile interval from resampling problems with
/// replacement.
///
/// # Errors
/// When there are fewer than two problems, a score is not finite, the settings have no resamples, or
/// the level is outside (0, 1).
pub fn bootstrap_mean(
    scores: &[f64],
    settings: &Bootstrap,
) -> Result<BootstrapEstimate, BootstrapError> {
    check(scores, settings)?;
    let problems = scores.len();
    let mut generator = ChaCha8Rng::seed_from_u64(settings.seed);
    // Drawn as u64, because draws of `usize` depend on the size of a pointer.
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

/// The mean of `after - before` over problems, with a percentile interval from resampling problems.
/// `before[i]` and `after[i]` are scores of the same problem; pairing keeps the spread between easy and
/// hard problems out of the interval.
///
/// # Errors
/// When the slices have different lengths, and as [`bootstrap_mean`].
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

/// The quantile of sorted values with linear interpolation: type 7 of Hyndman and Fan, "Sample quantiles
/// in statistical packages", The American Statistician 50 (1996); the default of numpy.
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
    fn the_seed_determines_the_interval() {
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
    fn pairing_cancels_the_spread_between_problems() {
        let before = accuracy(100, 200);
        let mut after = before.clone();
        after[..20].fill(0.0);
        let paired = bootstrap_mean_difference(&before, &after, &Bootstrap::default()).unwrap();
        assert!((paired.estimate + 0.1).abs() < 1e-12);
        assert!(
            paired.interval.high < 0.0,
            "20 of 200 problems lost is more than noise"
        );
        // Unpaired, the spread of the problems would give about +-0.098 instead of +-0.042.
        assert!(paired.interval.width() < 0.1);
    }

    #[test]
    fn without_any_change_the_interval_has_no_width() {
        let scores = accuracy(60, 200);
        let same = bootstrap_mean_difference(&scores, &scores, &Bootstrap::default()).unwrap();
        assert_eq!((same.estimate, same.interval.width()), (0.0, 0.0));
    }

    #[test]
    fn errors_say_what_is_wrong_with_the_input() {
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
