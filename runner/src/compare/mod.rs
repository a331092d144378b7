//! Two sweeps side by side: what changed, by how much, and how sure that is.
//!
//! **Pairs.** A trial of the first sweep (A) and one of the second (B) are a pair when all
//! parameters that both notebooks declare have the same values; the code may differ.
//!
//! **Values.** Of each pair that succeeded in both, the frames named `result` are laid side by
//! side, row by row. Text and truth values, and whole numbers that are the same in both sweeps,
//! label the rows; all other numbers are compared. The change is B - A.
//!
//! **Intervals.** Rows with the same labels and the same parameters other than `seed` are one
//! group. Within it, the differences of the pairs are resampled with replacement: over the
//! values of the item column where there is one (the differences of an item averaged over seeds
//! first), else over the pairs, that is, over seeds. It is the percentile bootstrap of
//! [`offmodel_analysis::bootstrap_mean`]: 10,000 resamples, seed 0, level 0.95. A group of one
//! has no interval.

mod collect;
mod compared;
mod pairs;
mod tables;

pub use collect::{CollectedSweep, CollectedTrial, Recorded};
pub use compared::{Change, Compared, Group, StandingChange, compare};
pub use pairs::{Pairs, pair};
pub use tables::{changes_table, groups_table};

/// The parameter that tells repetitions of a trial apart.
pub const SEED: &str = "seed";

/// The column that tells items of a benchmark apart, unless another one is named.
pub const ITEM: &str = "item";
