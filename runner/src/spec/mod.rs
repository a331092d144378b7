//! The sweep file, and the trials that it asks for.
//!
//! ```toml
//! version = 1
//! notebook = "first_light.ipynb"   # relative to this file
//! name = "first_light"             # optional: the folder under runs/, else this file's name
//!
//! [parameters]                     # optional: the same in every trial
//! steps = 20
//!
//! [grid]                           # every combination is a trial
//! data = ["on_model", "off_model"]
//! seed = [1, 2]
//! ```

mod error;
mod read;
mod trials;

pub use error::{Place, SpecError};
pub use read::{Axis, Given, SweepSpec};
pub use trials::{Trial, Trials, trials};
