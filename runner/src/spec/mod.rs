//! The sweep file, and the trials that it asks for.
//!
//! ```toml
//! version = 1
//! notebook = "first_light.ipynb"   # relative to this file
//! name = "first_light"             # optional: the folder under runs/, else this file's name;
//!                                  # `{date}` in it is the day, so that each has its folder
//!
//! seeds = [1, 2]                   # or a number of them: sets the parameter `seed`
//! exclude = [{ data = "on_model", seed = 2 }]
//! timeout = "2h"                   # for one attempt; seconds, or with s, m, h, d
//! max_failures = 10                # then no further trial begins
//!
//! [parameters]                     # optional: the same in every trial
//! steps = 20
//!
//! [grid]                           # every combination
//! data = ["on_model", "off_model"]
//!
//! [zip]                            # the first values together, then the second values, ...
//! student = ["small", "large"]
//! batch = [16, 4]
//!
//! [[trials]]                       # one by one
//! note = "as published"
//!
//! [random]
//! count = 20
//! seed = 1
//! [random.draw]                    # int, float, log (both uniform), choice
//! rate = { log = [1e-5, 1e-3] }
//!
//! [resources]                      # of one attempt
//! cores = 1
//! memory = "4GB"
//!
//! [retry]                          # how often, by cause: failure, timeout, memory, crash, preemption
//! crash = 2
//! backoff = "30s"                  # doubles with every retry of a trial
//!
//! [[rule]]                         # which trials run first
//! when = { data = "on_model" }
//! priority = 1
//! ```
//!
//! `trials`, `grid`, `zip`, `random` and `seeds` are factors: the trials are all combinations.

mod error;
mod factor;
mod policy;
mod random;
mod read;
mod reader;
mod trials;

pub use error::{Place, SpecError};
pub use factor::{Factor, Row};
pub use policy::{Policy, Resources, Retry, Rule};
pub use read::{Given, SweepSpec};
pub use trials::{Trial, Trials, trials};
