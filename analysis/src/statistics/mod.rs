//! Estimates and their uncertainty: lines, proportions, means over problems, pass@k.

mod bootstrap;
mod interval;
mod line_fit;
mod pass_at_k;
mod proportion;

pub use bootstrap::{
    Bootstrap, BootstrapError, BootstrapEstimate, bootstrap_mean, bootstrap_mean_difference,
};
pub use interval::ConfidenceInterval;
pub use line_fit::{FitError, LineFit, ordinary_least_squares};
pub use pass_at_k::{PassAtKError, pass_at_k};
pub use proportion::{ProportionError, wilson_interval};
