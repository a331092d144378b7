use std::path::PathBuf;

/// A schedule that cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Not a cron expression.
    #[error(
        "`{expression}` is not a cron expression (minute hour day month weekday, as in \"30 2 * * *\"): {reason}"
    )]
    Expression {
        /// What was given.
        expression: String,
        /// What is wrong.
        reason: String,
    },
    /// A cron expression without occurrences, such as the 30th of February.
    #[error("`{expression}` never happens")]
    Never {
        /// What was given.
        expression: String,
    },
    /// Not a time zone.
    #[error("there is no time zone `{zone}`{hint}; use an IANA name such as Europe/Berlin or UTC")]
    Zone {
        /// What was given.
        zone: String,
        /// The nearest name, in words.
        hint: String,
    },
    /// A name that cannot name files and units.
    #[error(
        "`{name}` cannot be the name of a schedule: use letters, digits, `_`, `-` and `.`, and begin with a letter or digit"
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// The name is taken.
    #[error("there is a schedule `{name}` already; `--replace` puts the new one in its place")]
    Taken {
        /// The name.
        name: String,
    },
    /// No such schedule.
    #[error("there is no schedule `{name}`{hint}; `offmodel schedule list` shows them")]
    Unknown {
        /// The name.
        name: String,
        /// The nearest name, in words.
        hint: String,
    },
    /// There is no folder to keep schedules in.
    #[error("failed to find a folder for schedules: set OFFMODEL_STATE or HOME")]
    NoFolder,
    /// The ledger is not what it should be.
    #[error("failed to read the schedules in {}: {reason}", path.display())]
    Ledger {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file cannot be written or locked.
    #[error("failed to write {}: {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}
