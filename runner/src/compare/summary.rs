//! A comparison in sentences.

use super::Comparison;
use crate::assignment::{Assignment, describe};

/// Trials that a sentence lists; the JSON document has all.
const MAX_LISTED_TRIALS: usize = 10;

impl Comparison {
    /// What was compared and how, one sentence a line.
    pub fn summary(&self) -> Vec<String> {
        let (a, b) = (&self.a, &self.b);
        let by = if self.paired_by.is_empty() {
            "they have no parameter in common".to_owned()
        } else {
            format!("by {}", self.paired_by.join(", "))
        };
        let mut lines = vec![format!(
            "{a} (A) and {b} (B): {} pairs of trials, {by}; {} of them have the same rows of results",
            self.pairs, self.compared
        )];
        lines.push(format!(
            "{} of {} values differ, in {} trials",
            self.changed_values, self.values, self.changed_trials
        ));
        if let Some((of_a, of_b)) = self.seconds {
            lines.push(format!(
                "mean time of a trial that succeeded in both: {of_a:.2} s in A, {of_b:.2} s in B"
            ));
        }
        if self.groups.iter().any(|group| group.interval.is_some()) {
            lines.push(format!(
                "intervals: paired percentile bootstrap, 95%, 10,000 resamples of {}",
                self.resampled
            ));
        } else if !self.groups.is_empty() {
            lines.push("no intervals: each group has one pair".to_owned());
        }
        for change in self.status_changes.iter().take(MAX_LISTED_TRIALS) {
            lines.push(format!(
                "{}: {} in A, {} in B",
                describe(&change.parameters),
                change.a,
                change.b
            ));
        }
        let mut list = |what: &str, trials: &[Assignment]| {
            if trials.is_empty() {
                return;
            }
            let shown: Vec<String> = trials
                .iter()
                .take(MAX_LISTED_TRIALS)
                .map(describe)
                .collect();
            let more = trials.len().saturating_sub(MAX_LISTED_TRIALS);
            let more = if more > 0 {
                format!("; and {more} more")
            } else {
                String::new()
            };
            lines.push(format!(
                "{what} ({}): {}{more}",
                trials.len(),
                shown.join("; ")
            ));
        };
        list("only in A", &self.only_a);
        list("only in B", &self.only_b);
        list("with more than one possible partner", &self.ambiguous);
        list("with other rows in A than in B, left out", &self.other_rows);
        lines
    }
}
