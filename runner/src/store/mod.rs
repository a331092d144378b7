//! The store: everything that is known about a sweep, in its folder.
//!
//! ```text
//! runs/SWEEP/sweep.toml                the sweep file as submitted
//! runs/SWEEP/notebook.ipynb            the notebook as submitted, without outputs
//! runs/SWEEP/submission.json           where both came from, and the hashes of the data
//! runs/SWEEP/runner.json               the runner that is at work, while one is
//! runs/SWEEP/cancel/TRIAL.json         a request to cancel a trial, until it is fulfilled
//! runs/SWEEP/trial-ID/attempt-N/       one attempt; result.json is written last
//! runs/SWEEP/*.parquet                 tables gathered from all trials
//! ```
//!
//! A trial is done when the `result.json` of one of its attempts says so. An attempt without
//! `result.json` runs or was interrupted. Files appear by rename, so a reader sees a whole file or
//! none; only `events.jsonl` grows in place.
//!
//! One process at a time writes to a sweep's folder: it holds the [`SweepLock`]. Everyone may read
//! at any time. `runner/README.md` describes every file and field.

mod attempt;
mod cancellation;
mod data_hashes;
mod failure;
mod files;
mod fingerprint;
mod folder;
mod lock;
mod provenance;
mod results;
mod runner_record;
mod status;
mod submission;

pub use attempt::{AttemptResult, RESULT_VERSION, SpecRecord};
pub use data_hashes::{DataContent, DataError, DataFile, DataHasher, changed_since};
pub use failure::{FailureReason, failure_of_cell_error, failure_of_exit_status};
pub use files::{check_writable, write_atomically};
pub use fingerprint::Fingerprint;
pub use folder::SweepFolder;
pub use lock::SweepLock;
pub use provenance::{GitState, Machine, Provenance, gpu_numbers};
pub use results::{RESULT_FRAME, compact, read_results, recorded_frame};
pub use runner_record::{RunnerRecord, active_runner};
pub use status::{StatusCounts, TrialStatus, TrialSummary};
pub use submission::{Submission, SubmittedProgram};
