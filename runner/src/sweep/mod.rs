//! A sweep: from its file to its trials, the plan of what runs, and the run itself.
//!
//! 1. [`SweepSpec`] reads the sweep file; every error names file, line and column.
//!    `runner/README.md` is the reference of its keys, with an example.
//! 2. [`expand_trials`] checks the values against the notebook's parameters and forms all
//!    combinations. Each trial is named by [`trial_id`], a hash of code, parameters and data.
//! 3. [`plan`] decides from the store which trials run, and why.
//! 4. [`SweepRun`] compiles the notebook, submits the sweep, lets the engine run the planned
//!    attempts, and gathers the results.

mod data;
mod error;
mod factors;
pub(crate) mod plan;
mod policy;
pub(crate) mod program_comparison;
mod random;
mod reader;
mod run;
mod selection;
mod slurm;
mod spec;
mod submitted;
mod trial_id;
mod trials;

pub use data::{DataPath, DataSource};
pub use error::{Location, SpecError};
pub use factors::{Factor, Row};
pub use policy::{Policy, PriorityRule, Resources, Retry};
pub(crate) use run::{SweepOutcome, SweepRun};
pub(crate) use selection::Selection;
pub use slurm::SlurmSettings;
pub use spec::{ParameterValue, SweepSpec};
pub(crate) use submitted::submitted_trials;
pub use trial_id::{DataHashes, trial_id};
pub use trials::{Trial, Trials, expand_trials};
