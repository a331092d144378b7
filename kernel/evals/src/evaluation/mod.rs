//! Evaluation of a model on a benchmark: the record of every sample, and scores over them.
//!
//! - [`evaluate`]: generates and grades; [`Evaluation`] keeps every [`Sample`];
//! - [`Score`] and [`LevelScore`]: accuracy with its uncertainty;
//! - [`change_by_level`]: accuracy after training minus baseline, level by level.

mod change;
mod display;
mod evaluate;
mod sample;
mod score;

pub use change::{LevelChange, change_by_level};
pub use evaluate::evaluate;
pub use sample::{Evaluation, Sample};
pub use score::{LevelScore, Score};
