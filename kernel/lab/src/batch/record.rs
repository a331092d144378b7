use std::io;
use std::path::{Path, PathBuf};

use offmodel_events::{Event, emit};
use offmodel_support::atomic_file;
use polars::prelude::{DataFrame, ParquetWriter, PolarsError};

use super::attempt;

/// Why a frame could not be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The name is not a safe file name.
    #[error(
        "failed to record a frame as `{name}`: a name has 1 to 64 letters, digits, `_` or `-`, starts with a letter or digit, and is not `results`"
    )]
    Name {
        /// The rejected name.
        name: String,
    },
    /// polars could not write the frame as parquet.
    #[error("failed to write {}: {source}", path.display())]
    Frame {
        /// The file.
        path: PathBuf,
        /// The error of polars.
        source: PolarsError,
    },
    /// The file could not be created or renamed.
    #[error("failed to write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Records a frame as a result of the trial.
///
/// Writes it to `NAME.parquet` in the attempt's folder. The runner concatenates the frames of the
/// same name from all trials; those named `result` become the sweep's `results.parquet`. A second
/// frame of the same name replaces the first. In the live kernel, where there is no trial, only the
/// name is checked.
///
/// # Errors
/// When the name is not a safe file name, or the file cannot be written.
pub fn record(name: &str, frame: &DataFrame) -> Result<(), RecordError> {
    if !is_valid(name) {
        return Err(RecordError::Name {
            name: name.to_owned(),
        });
    }
    let Some(folder) = attempt::folder() else {
        return Ok(());
    };
    let file = format!("{name}.parquet");
    write(&folder.join(&file), frame)?;
    emit(&Event::Recorded {
        name: name.to_owned(),
        file,
    });
    Ok(())
}

fn is_valid(name: &str) -> bool {
    const MAX_LENGTH: usize = 64;
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    (1..=MAX_LENGTH).contains(&name.len())
        && name.chars().all(allowed)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        // `results.parquet` is the sweep's own file.
        && name != "results"
}

fn write(path: &Path, frame: &DataFrame) -> Result<(), RecordError> {
    enum WriteError {
        Frame(PolarsError),
        File(io::Error),
    }
    impl From<io::Error> for WriteError {
        fn from(error: io::Error) -> Self {
            Self::File(error)
        }
    }
    let written = atomic_file::write_with(path, |file| {
        let size = ParquetWriter::new(file).finish(&mut frame.clone());
        size.map(drop).map_err(WriteError::Frame)
    });
    let path = path.to_owned();
    written.map_err(|error| match error {
        WriteError::Frame(source) => RecordError::Frame { path, source },
        WriteError::File(source) => RecordError::File { path, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_file_names_are_accepted() {
        for good in ["result", "style-table", "pass_at_8", "2026"] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "",
            "../escape",
            "a b",
            ".hidden",
            "-dash",
            "results",
            "é",
            &"x".repeat(65),
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
