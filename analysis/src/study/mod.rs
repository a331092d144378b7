//! The study being reproduced: families of models, change against gap, and the published numbers.

mod change_against_gap;
mod family;
pub mod published;

pub use change_against_gap::{ChangeAgainstGap, StudyError, change_against_gap};
pub use family::{model_family, with_families};
