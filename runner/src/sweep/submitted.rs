//! The trials of a sweep as it was submitted.

use offmodel_program::Notebook;

use super::{SweepSpec, Trial, expand_trials};
use crate::error::RunnerError;
use crate::store::{DataError, SweepFolder};

/// Expands the trials of a sweep from the sweep file, the notebook and the hashes of data in its
/// folder, whatever became of the originals since.
pub(crate) fn submitted_trials(folder: &SweepFolder) -> Result<Vec<Trial>, RunnerError> {
    let spec = SweepSpec::read(&folder.sweep_file())?;
    let notebook = Notebook::read(&folder.notebook_file())?;
    let parameters = notebook.parameters()?;
    let submission = folder.submission();
    let mut hash = |path: &str| match &submission {
        Some(submission) => submission.hash(path),
        None => Err(DataError::NotSubmitted {
            path: path.to_owned(),
        }),
    };
    Ok(expand_trials(&spec, &parameters, &notebook.code_hash(), &mut hash)?.list)
}
