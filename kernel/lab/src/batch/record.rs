use std::fs::File;
use std::path::{Path, PathBuf};

use offmodel_events::{Event, emit};
use polars::prelude::{DataFrame, ParquetWriter, PolarsError};

use super::attempt;

/// Why a frame was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The name cannot be a file's name everywhere.
    #[error(
        "failed to record a frame as `{name}`: a name has 1 to 64 letters, digits, `_` or `-`, starts with a letter or digit, and is not `results`"
    )]
    Name {
        /// The name given.
        name: String,
    },
    /// The frame could not be written as parquet.
    #[error("failed to write {}: {source}", path.display())]
    Frame {
        /// The file.
        path: PathBuf,
        /// What polars said.
        source: PolarsError,
    },
    /// The file could not be created or published.
    #[error("failed to write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Records a frame as a result of the trial.
///
/// A program writes it to `NAME.parquet` in the attempt's folder, and the runner gathers the
/// frames of that name from all trials: those named `result` become the sweep's
/// `results.parquet`. A frame recorded again under the same name replaces the first. In the
/// live kernel, where there is no trial, only the name is checked.
///
/// # Errors
/// When the name cannot be a file's name, or the file cannot be written.
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
    publish(folder, &file, frame)?;
    emit(&Event::Recorded {
        name: name.to_owned(),
        file,
    });
    Ok(())
}

fn is_valid(name: &str) -> bool {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_-".contains(character);
    (1..=64).contains(&name.len())
        && name.chars().all(allowed)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name != "results"
}

/// Writes beside the file, then renames: whoever finds the file finds it whole.
fn publish(folder: &Path, file: &str, frame: &DataFrame) -> Result<(), RecordError> {
    let path = folder.join(file);
    let temporary = folder.join(format!(".{file}.partial"));
    let written = write(&temporary, &path, frame);
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn write(temporary: &Path, path: &Path, frame: &DataFrame) -> Result<(), RecordError> {
    let failed = |source| RecordError::File {
        path: path.to_owned(),
        source,
    };
    let file = File::create(temporary).map_err(failed)?;
    ParquetWriter::new(&file)
        .finish(&mut frame.clone())
        .map_err(|source| RecordError::Frame {
            path: path.to_owned(),
            source,
        })?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(temporary, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_are_safe_as_file_names_are_taken() {
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
