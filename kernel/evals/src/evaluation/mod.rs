//! A benchmark asked of a model: every sample's record, and what they add up to.
//!
//! - [`evaluate`]: asks and grades; [`Evaluation`] keeps every [`Sample`];
//! - [`Score`] and [`LevelScore`]: shares of right answers with their uncertainty;
//! - [`change_by_level`]: after minus before, level by level.

mod change;
mod display;
mod evaluate;
mod sample;
mod score;

pub use change::{LevelChange, change_by_level};
pub use evaluate::evaluate;
pub use sample::{Evaluation, Sample};
pub use score::{LevelScore, Score};
