//! What commands print with `--json`.
//!
//! One document on standard output, also where it ends with an exit code other than 0; errors are
//! told on standard error, with the exit code alone. Every document has `version` and `command`;
//! within a version, keys are added but never renamed or removed. Times are in seconds, sizes in
//! bytes, moments in RFC 3339.
//!
//! | command | keys besides `version`, `command`, `sweep` |
//! |---|---|
//! | `sweep --dry-run`, `retry --dry-run` | `dry_run` (true), `total`, `to_run`, `merged`, `excluded`, `estimate`, `trials`: `trial`, `runs`, `reason` (`kind` and its facts), `text`, `parameters` |
//! | `sweep`, `retry` | `dry_run` (false), `total`, `succeeded`, `failed`, `cancelled`, `left`, `stopped`, `gave_up`, `files`, `failures`: `trial`, `attempt`, `notebook`, `parameters`, `cause`, `text` |
//! | `status` | `running`, `runner`, `total`, `succeeded`, `failed`, `cancelled`, `left`, `changed`, `others`, `slurm` (null if it can have no jobs there): `error` (why Slurm could not be asked, else null), `waiting`, `running`, `unknown`, `reasons`, `estimate`, `trials`: `trial`, `status` (`new`, `waiting` (in Slurm), `running`, `unfinished`, `succeeded`, `failed`, `cancelled`), `attempts`, `job` (in Slurm, or null), `parameters`, `changed`, `result` |
//! | `cancel` | `runner` (null if none was at work), `jobs` (trials cancelled in Slurm), `succeeded`, `failed`, `cancelled`, `left` |
//! | `cancel` of trials | `runner` (which goes on), `trials`: `trial`, `status` (`cancelled`, or `succeeded`, `failed` if it was over already), `parameters` |
//! | `clean` | `removed`, `bytes`, `items`: `path`, `reason` (`superseded`, `unfinished`, `other`, `temporary`), `bytes` |
//! | `report` | `page`, `files` (the page and those gathered anew), `total`, `succeeded`, `failed`, `cancelled`, `left`, `seconds`, `rows` (of the result table), `notebooks`, `left_out`, `compared` |
//! | `run` (no `sweep`) | `notebook`, `parameters` (those given), `status` (`succeeded`, `failed`, `stopped`), `cells`, `seconds`, `files`, `frames`, `cause`, `text`, `error` (`name`, `value`, `traceback`, `line`), `exit_code` |
//! | `build` (no `sweep`) | `folder`, `build` |
//! | `logs` | one document a line: `trial`, `attempt`, `event` |

use serde::Serialize;

use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::terminal::outln;

/// The version of all documents.
pub(super) const VERSION: u32 = 1;

/// Prints a document. A reader that has seen enough is no error.
pub(super) fn print_json(document: &impl Serialize) -> Result<ExitCode, RunnerError> {
    outln!("{}", text(document, serde_json::to_string_pretty)?);
    Ok(ExitCode::Success)
}

/// Prints a document on one line.
pub(super) fn print_json_line(document: &impl Serialize) -> Result<(), RunnerError> {
    outln!("{}", text(document, serde_json::to_string)?);
    Ok(())
}

fn text<T: Serialize>(
    document: &T,
    write: fn(&T) -> serde_json::Result<String>,
) -> Result<String, RunnerError> {
    write(document).map_err(|error| RunnerError::Write {
        path: "standard output".into(),
        source: std::io::Error::other(error),
    })
}
