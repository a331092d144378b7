//! The truth about a sweep, on disk.
//!
//! ```text
//! runs/SWEEP/sweep.toml                       the sweep file as submitted
//! runs/SWEEP/notebook.ipynb                   the notebook as submitted, without outputs
//! runs/SWEEP/submission.json                  where these came from, and the hashes of the data
//! runs/SWEEP/runner.json                      who is at work on it, as long as someone is
//! runs/SWEEP/cancel/HASH.json                 a trial that is to be cancelled, until it is over
//! runs/SWEEP/trial-HASH/attempt-N/spec.json   what is to run
//!                                /events.jsonl
//!                                /out.ipynb   the executed notebook
//!                                /*.parquet   recorded frames
//!                                /result.json written last: what became of it
//! runs/SWEEP/results.parquet                  the frames named `result` of all trials
//! runs/SWEEP/trials.parquet                   a row for every trial: parameters, status, times
//! runs/SWEEP/NAME.parquet                     the frames of every other name
//! ```
//!
//! A trial is done when the `result.json` of an attempt says that it succeeded. An attempt
//! without one was interrupted, or is running; one with nothing else was cancelled before it began. Every file but `events.jsonl` is written beside
//! its name, synced and renamed. One process at a time writes to a sweep's folder and says so in
//! `runner.json` ([`runner_at_work`]).

mod atomic;
mod attempt;
mod cancellation;
mod data;
mod folder;
mod provenance;
mod results;
mod runner;
mod submission;

pub use atomic::{check_writable, write_atomically};
pub use attempt::{
    AttemptResult, FailureReason, RESULT_VERSION, SpecRecord, Status, failure_of_cell_error,
    failure_of_exit_status,
};
pub use data::{DataContent, DataError, DataFile, DataSet, Stamp, changed_since};
pub use folder::{Standing, SweepFolder, TrialState};
pub use provenance::{GitState, Machine, Provenance, gpu_numbers};
pub use results::{RESULT, compact, read_results, recorded_frame};
pub use runner::{Hold, RunnerRecord, runner_at_work};
pub use submission::{Submission, SubmittedProgram};
