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
//! data = [                         # what the notebook reads: new content makes new trials
//!     "problems.jsonl",            # a file or folder, relative to the notebook
//!     { parameter = "responses" }, # the path that this parameter has in the trial
//! ]
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
//! gpus = 1                         # whole ones, told apart by CUDA_VISIBLE_DEVICES
//! pin = false                      # do not keep trials on cores of their own
//!
//! [retry]                          # how often, by cause: failure, timeout, memory, crash, preemption
//! crash = 2
//! backoff = "30s"                  # doubles with every retry of a trial
//!
//! [slurm]                          # for `offmodel sweep --slurm`; everything is optional
//! partition = "gpu"                # also account, qos
//! time = "4h"                      # a job's limit; else `timeout` and two minutes, else Slurm's default
//! checkpoint = "2m"                # so long before it, a program is asked to stop (default: 1m)
//! throttle = 8                     # so many attempts run at once
//! max_queued = 500                 # so many are in Slurm at once, waiting ones included
//! requeue = true                   # Slurm starts again what it took away (the default)
//! gpu_type = "a100"                # which kind the `gpus` in [resources] are
//! directives = ["--constraint=nvlink"]   # further options of sbatch
//!
//! [[rule]]                         # which trials run first
//! when = { data = "on_model" }
//! priority = 1
//! ```
//!
//! `trials`, `grid`, `zip`, `random` and `seeds` are factors: the trials are all combinations.

mod data;
mod error;
mod factor;
mod policy;
mod random;
mod read;
mod reader;
mod slurm;
mod trials;

pub use data::{DataPath, DataSource};
pub use error::{Place, SpecError};
pub use factor::{Factor, Row};
pub use policy::{Policy, Resources, Retry, Rule};
pub use read::{Given, SweepSpec};
pub use slurm::SlurmSettings;
pub use trials::{DataHashes, Trial, Trials, identity, trials};
