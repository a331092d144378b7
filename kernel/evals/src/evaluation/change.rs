use serde::{Deserialize, Serialize};

use super::sample::{Evaluation, Sample};
use super::score::Score;
use crate::EvalError;

/// The change of accuracy on one level of difficulty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LevelChange {
    /// Level, from 1.
    pub level: u32,
    /// Number of items.
    pub items: usize,
    /// Accuracy before training, from 0 to 1.
    pub baseline: f64,
    /// Accuracy after training, from 0 to 1.
    pub after: f64,
    /// After minus baseline; negative is degradation.
    pub change: f64,
    /// Standard error of the change: that of the mean of paired differences, because both
    /// evaluations have the same items. 0 for a single item, from which it cannot be estimated.
    pub standard_error: f64,
    /// Share of responses before training that ended within the token limit.
    pub baseline_finished: f64,
    /// Share of responses after training that ended within the token limit. If it is lower than
    /// before, longer responses explain part of the change.
    pub after_finished: f64,
}

/// Compares two evaluations of the same items, level by level, ascending.
///
/// # Errors
/// If the evaluations do not have the same items in the same order.
pub fn change_by_level(
    baseline: &Evaluation,
    after: &Evaluation,
) -> Result<Vec<LevelChange>, EvalError> {
    let same_items = baseline.samples.len() == after.samples.len()
        && std::iter::zip(&baseline.samples, &after.samples)
            .all(|(before, after)| before.item == after.item && before.level == after.level);
    if !same_items || baseline.benchmark != after.benchmark {
        return Err(EvalError::DifferentItems {
            before: baseline.benchmark.clone(),
            before_items: baseline.samples.len(),
            after: after.benchmark.clone(),
            after_items: after.samples.len(),
        });
    }
    let levels = baseline
        .score_by_level()
        .into_iter()
        .map(|level| level.level);
    Ok(levels
        .map(|level| level_change(level, baseline, after))
        .collect())
}

fn level_change(level: u32, baseline: &Evaluation, after: &Evaluation) -> LevelChange {
    let pairs: Vec<(&Sample, &Sample)> = std::iter::zip(&baseline.samples, &after.samples)
        .filter(|(before, _)| before.level == level)
        .collect();
    let differences: Vec<f64> = pairs
        .iter()
        .map(|(before, after)| as_number(after.correct) - as_number(before.correct))
        .collect();
    let before = Score::of(pairs.iter().map(|pair| pair.0.correct)).share();
    let then = Score::of(pairs.iter().map(|pair| pair.1.correct)).share();
    LevelChange {
        level,
        items: pairs.len(),
        baseline: before,
        after: then,
        change: then - before,
        standard_error: standard_error_of_mean(&differences),
        baseline_finished: Score::of(pairs.iter().map(|pair| pair.0.finished)).share(),
        after_finished: Score::of(pairs.iter().map(|pair| pair.1.finished)).share(),
    }
}

fn as_number(outcome: bool) -> f64 {
    f64::from(u8::from(outcome))
}

fn standard_error_of_mean(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / n;
    let variance = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>()
        / (n - 1.0);
    (variance / n).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation(outcomes: &[(u32, bool)]) -> Evaluation {
        let samples = outcomes
            .iter()
            .enumerate()
            .map(|(index, &(level, correct))| Sample {
                item: index.to_string(),
                level,
                prompt: String::new(),
                response: String::new(),
                tokens: 0,
                finished: correct,
                extracted: None,
                expected: String::new(),
                correct,
                explanation: String::new(),
            });
        Evaluation {
            benchmark: "test".to_owned(),
            samples: samples.collect(),
        }
    }

    #[test]
    fn the_change_is_after_minus_before_and_its_error_is_that_of_pairs() {
        let before = evaluation(&[(1, true), (1, true), (1, false), (1, true), (2, true)]);
        let after = evaluation(&[(1, true), (1, false), (1, false), (1, false), (2, true)]);
        let changes = change_by_level(&before, &after).unwrap();
        assert_eq!(changes.len(), 2);
        assert_eq!(
            (
                changes[0].level,
                changes[0].items,
                changes[0].baseline,
                changes[0].after
            ),
            (1, 4, 0.75, 0.25)
        );
        assert_eq!(changes[0].change, -0.5);
        // In this test a sample is finished exactly if it is correct.
        assert_eq!(
            (changes[0].baseline_finished, changes[0].after_finished),
            (0.75, 0.25)
        );
        // Differences 0, -1, 0, -1: variance 1/3, over 4 items.
        assert!((changes[0].standard_error - (1.0_f64 / 12.0).sqrt()).abs() < 1e-15);
        assert_eq!((changes[1].change, changes[1].standard_error), (0.0, 0.0));
    }

    #[test]
    fn different_items_cannot_be_compared() {
        let before = evaluation(&[(1, true), (1, true)]);
        assert!(change_by_level(&before, &evaluation(&[(1, true)])).is_err());
        assert!(change_by_level(&before, &evaluation(&[(1, true), (2, true)])).is_err());
    }
}
