//! The names of the environment variables that offmodel reads, in one place, and the folders that
//! they move.
//!
//! A variable that is set to the empty string counts as unset.

use std::ffi::OsString;
use std::path::PathBuf;

/// The folder for libtorch, models, compiled programs and teachers' responses.
pub const CACHE: &str = "OFFMODEL_CACHE";
/// The folder for models, if they are not in the cache folder.
pub const MODELS: &str = "OFFMODEL_MODELS";
/// The folder that holds the benchmarks' data sets, such as `ifeval/ifeval.jsonl`.
pub const DATA: &str = "OFFMODEL_DATA";
/// The folder for schedules, if it is not in the user's state folder.
pub const STATE: &str = "OFFMODEL_STATE";
/// The filter of the log on standard error, in the syntax of `tracing_subscriber::EnvFilter`.
pub const LOG: &str = "OFFMODEL_LOG";

/// The most text that a cell may print, in millions of bytes.
pub const TEXT_LIMIT_MB: &str = "OFFMODEL_TEXT_LIMIT_MB";
/// The largest displayed values of a cell, in millions of bytes.
pub const DISPLAY_LIMIT_MB: &str = "OFFMODEL_DISPLAY_LIMIT_MB";

/// The address of the API that serves teachers.
pub const API_BASE_URL: &str = "OFFMODEL_API_BASE_URL";
/// The secret key for [`API_BASE_URL`].
pub const API_KEY: &str = "OFFMODEL_API_KEY";
/// `1` allows [`API_KEY`] to be sent over plain HTTP to another machine.
pub const API_PLAIN_HTTP: &str = "OFFMODEL_API_PLAIN_HTTP";
/// Names of teachers, `ALIAS=MODEL,ALIAS=MODEL`, added to the built-in ones.
pub const API_MODELS: &str = "OFFMODEL_API_MODELS";

/// The folder that holds `liboffmodel.so`, if it is not beside the running program.
pub const PRELUDE: &str = "OFFMODEL_PRELUDE";
/// The folder that holds `libtch.so`, if it is not the one that set-up recorded.
pub const LIBTORCH: &str = "OFFMODEL_LIBTORCH";

/// Between our processes: the inherited file descriptor to which events are written.
pub const EVENTS_FD: &str = "OFFMODEL_EVENTS_FD";
/// Between our processes: the inherited file descriptor from which the user's input is read.
pub const INPUT_FD: &str = "OFFMODEL_ANSWERS_FD";
/// Between our processes: the inherited file descriptor to which a program reports its attempts.
pub const REPORTS_FD: &str = "OFFMODEL_REPORTS_FD";
/// Between our processes: the process that prepared the environment of a session. Its children
/// inherit the variable without being sessions.
pub const SESSION_PROCESS: &str = "OFFMODEL_SESSION_PROCESS";
/// Between our processes: makes our program act as the `RUSTC_WRAPPER` of evcxr's Cargo.
pub const RUSTC_WRAPPER: &str = "OFFMODEL_RUSTC_WRAPPER";
/// Between our processes: the file with compiler arguments for crates added by `:dep`.
pub const EXTRA_CRATES: &str = "OFFMODEL_FURTHER_CRATES";

/// For tests: the file in which skipped tests are recorded. `cargo verify` sets it.
pub const SKIPPED_TESTS: &str = "OFFMODEL_SKIPPED_TESTS";

/// The value of a variable, unless it is unset or empty.
pub fn value(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The cache folder: [`CACHE`], otherwise `offmodel` in the user's cache folder.
///
/// The path is absolute, because programs start in the folders of their notebooks. None if neither
/// is known.
pub fn cache_folder() -> Option<PathBuf> {
    match value(CACHE) {
        Some(folder) => std::path::absolute(folder).ok(),
        None => Some(dirs::cache_dir()?.join("offmodel")),
    }
}

/// The folder for models: [`MODELS`], otherwise `models` in the [cache folder](cache_folder).
pub fn models_folder() -> Option<PathBuf> {
    match value(MODELS) {
        Some(folder) => std::path::absolute(folder).ok(),
        None => Some(cache_folder()?.join("models")),
    }
}
