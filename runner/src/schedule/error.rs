//! Errors of schedules.

use std::path::PathBuf;

/// Why a schedule cannot be added, read or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// The text is not a cron expression.
    #[error(
        "`{expression}` is not a cron expression (minute hour day month weekday, as in \"30 2 * * *\"): {reason}"
    )]
    Expression {
        /// The text.
        expression: String,
        /// The error of the parser.
        reason: String,
    },
    /// The cron expression has no occurrence, as for the 30th of February.
    #[error("`{expression}` never occurs")]
    NeverOccurs {
        /// The cron expression.
        expression: String,
    },
    /// The time zone is unknown.
    #[error("there is no time zone `{zone}`{hint}; use an IANA name such as Europe/Berlin or UTC")]
    TimeZone {
        /// The name.
        zone: String,
        /// A suggestion, or empty.
        hint: String,
    },
    /// The name cannot be part of the names of files and units.
    #[error(
        "`{name}` cannot be the name of a schedule: use letters, digits, `_`, `-` and `.`, and begin with a letter or digit"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// A schedule has the name already.
    #[error("a schedule `{name}` exists already; use `--replace` to replace it")]
    Taken {
        /// The name.
        name: String,
    },
    /// No schedule has the name.
    #[error("there is no schedule `{name}`{hint}; `offmodel schedule list` shows them")]
    Unknown {
        /// The name.
        name: String,
        /// A suggestion, or empty.
        hint: String,
    },
    /// The user has no state folder.
    #[error("failed to find a folder for schedules: set OFFMODEL_STATE or HOME")]
    NoFolder,
    /// The file of schedules is unreadable or of another version.
    #[error("failed to read the schedules in {}: {reason}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// A file cannot be written or locked.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
}
