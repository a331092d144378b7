//! Compares two sweeps: what changed, by how much, and how certain that is.
//!
//! **Pairs.** A trial of the first sweep (A) and one of the second (B) form a pair if all parameters
//! that both notebooks declare have equal values; the code may differ.
//!
//! **Values.** For each pair that succeeded in both sweeps, the frames named `result` are compared
//! row by row. Text, booleans, and integers that are equal in both sweeps label the rows; all other
//! numbers are compared. The change is B - A.
//!
//! **Intervals.** Rows with the same labels and the same parameters other than `seed` form a group.
//! Within a group, the paired differences are resampled with replacement: over the values of the
//! item column if there is one (the differences of an item are first averaged over seeds), otherwise
//! over pairs, that is, over seeds. The interval is the percentile bootstrap of
//! [`offmodel_analysis::bootstrap_mean`]: 10,000 resamples, seed 0, level 0.95. A group of one
//! unit has no interval.

mod collect;
mod comparison;
mod matching;
mod pairs;
mod summary;
mod tables;

pub use collect::{CollectedSweep, CollectedTrial, ComparableFrame};
pub use comparison::{Change, Comparison, Group, StatusChange, compare};
pub use pairs::{Pairs, pair};
pub use tables::{changes_table, groups_table};

/// The parameter that distinguishes repetitions of a trial.
pub const SEED: &str = "seed";

/// The column that distinguishes the items of a benchmark, unless the user names another one.
pub const ITEM: &str = "item";
