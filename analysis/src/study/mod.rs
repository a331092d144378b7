//! The study's own questions: families of models, change against gap, and the published figures.

mod change_against_gap;
mod family;
pub mod published;

pub use change_against_gap::{ChangeAgainstGap, StudyError, change_against_gap};
pub use family::{model_family, with_families};
