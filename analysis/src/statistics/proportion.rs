use statrs::distribution::{ContinuousCDF, Normal};
use thiserror::Error;

use super::ConfidenceInterval;

/// Why a share of successes has no interval.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum ProportionError {
    /// There are no trials, or more successes than trials.
    #[error("failed to compute the interval of a share: {successes} successes in {trials} trials")]
    Counts {
        /// Number of successes.
        successes: u64,
        /// Number of trials.
        trials: u64,
    },
    /// The level is not strictly between 0 and 1.
    #[error(
        "failed to compute the interval of a share: confidence level {level} is not between 0 and 1"
    )]
    Level {
        /// The confidence level.
        level: f64,
    },
}

/// Wilson's score interval of a share of successes, such as an accuracy, at confidence `level`, such as
/// 0.95.
///
/// Unlike the normal approximation it keeps its coverage near 0 and 1 and stays between them. Wilson,
/// "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
///
/// # Errors
/// When there are no trials, more successes than trials, or the level is outside (0, 1).
pub fn wilson_interval(
    successes: u64,
    trials: u64,
    level: f64,
) -> Result<ConfidenceInterval, ProportionError> {
    if trials == 0 || successes > trials {
        return Err(ProportionError::Counts { successes, trials });
    }
    if !(level > 0.0 && level < 1.0) {
        return Err(ProportionError::Level { level });
    }
    let z = Normal::standard().inverse_cdf(0.5 + level / 2.0);
    let n = trials as f64;
    let share = successes as f64 / n;
    let scale = 1.0 + z * z / n;
    let centre = (share + z * z / (2.0 * n)) / scale;
    let half_width = z / scale * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
    Ok(ConfidenceInterval {
        // At the ends one bound is exactly 0 or 1, which rounding would miss.
        low: if successes == 0 {
            0.0
        } else {
            centre - half_width
        },
        high: if successes == trials {
            1.0
        } else {
            centre + half_width
        },
        level,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_failures_or_successes_one_bound_is_exact() {
        let none = wilson_interval(0, 20, 0.95).unwrap();
        let all = wilson_interval(20, 20, 0.95).unwrap();
        assert_eq!(none.low, 0.0);
        assert_eq!(all.high, 1.0);
        assert!(none.high > 0.1 && all.low < 0.9);
        assert!((none.high - (1.0 - all.low)).abs() < 1e-12);
    }

    #[test]
    fn errors_name_impossible_counts_and_levels() {
        let error = wilson_interval(5, 4, 0.95).unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to compute the interval of a share: 5 successes in 4 trials"
        );
        assert!(wilson_interval(0, 0, 0.95).is_err());
        for level in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(matches!(
                wilson_interval(1, 2, level),
                Err(ProportionError::Level { .. })
            ));
        }
    }
}
