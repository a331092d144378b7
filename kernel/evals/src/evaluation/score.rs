//! Proportions with their uncertainty.

use serde::{Deserialize, Serialize};

/// The 97.5% quantile of the standard normal distribution, for two-sided 95% intervals.
const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// The proportion of successes among independent samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    /// Number of successes.
    pub correct: usize,
    /// Number of samples.
    pub samples: usize,
}

impl Score {
    /// Counts successes.
    pub fn of(outcomes: impl IntoIterator<Item = bool>) -> Self {
        outcomes.into_iter().fold(
            Self {
                correct: 0,
                samples: 0,
            },
            |score, success| Self {
                correct: score.correct + usize::from(success),
                samples: score.samples + 1,
            },
        )
    }

    /// The proportion, from 0 to 1; NaN without samples.
    pub fn share(&self) -> f64 {
        self.correct as f64 / self.samples as f64
    }

    /// Binomial standard error of the proportion: sqrt(p (1 - p) / n). It is 0 if all or no samples
    /// succeeded; [`Score::interval`] is more informative then.
    pub fn standard_error(&self) -> f64 {
        let share = self.share();
        (share * (1.0 - share) / self.samples as f64).sqrt()
    }

    /// Lower and upper bound of Wilson's 95% score interval; (0, 1) without samples. Wilson,
    /// "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    pub fn interval(&self) -> (f64, f64) {
        if self.samples == 0 {
            return (0.0, 1.0);
        }
        let n = self.samples as f64;
        let share = self.share();
        let z = NORMAL_QUANTILE;
        let scale = 1.0 + z * z / n;
        let centre = (share + z * z / (2.0 * n)) / scale;
        let half_width = z / scale * (share * (1.0 - share) / n + z * z / (4.0 * n * n)).sqrt();
        // With no or only successes one bound is exactly 0 or 1, which rounding must not change.
        let low = if self.correct == 0 {
            0.0
        } else {
            centre - half_width
        };
        let high = if self.correct == self.samples {
            1.0
        } else {
            centre + half_width
        };
        (low, high)
    }
}

/// The accuracy on one level of difficulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelScore {
    /// Level, from 1.
    pub level: u32,
    /// Accuracy on the level.
    pub score: Score,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(correct: usize, samples: usize) -> Score {
        Score { correct, samples }
    }

    #[test]
    fn the_standard_error_is_the_binomial_one() {
        assert!((score(5, 10).standard_error() - (0.25_f64 / 10.0).sqrt()).abs() < 1e-15);
        assert_eq!(score(0, 10).standard_error(), 0.0);
    }

    #[test]
    fn the_interval_solves_wilsons_equation() {
        // Both ends are the p with (share - p)^2 = z^2 p (1 - p) / n, the definition of it.
        for (correct, samples) in [(1, 7), (5, 10), (37, 40), (120, 200)] {
            let score = score(correct, samples);
            let (low, high) = score.interval();
            for p in [low, high] {
                let left = (score.share() - p).powi(2);
                let right = NORMAL_QUANTILE.powi(2) * p * (1.0 - p) / samples as f64;
                assert!((left - right).abs() < 1e-12, "{correct} of {samples}: {p}");
            }
            assert!(low < score.share() && score.share() < high);
        }
    }

    #[test]
    fn all_or_nothing_still_has_an_interval() {
        let (low, high) = score(0, 20).interval();
        assert!(low == 0.0 && high > 0.1);
        let (low, high) = score(20, 20).interval();
        assert!(low < 0.9 && high == 1.0);
        assert_eq!(score(0, 0).interval(), (0.0, 1.0));
    }
}
