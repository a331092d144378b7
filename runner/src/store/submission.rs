use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use offmodel_program::Versions;
use serde::{Deserialize, Serialize};

use super::data::{DataContent, DataError};

/// The version of `submission.json`.
const VERSION: u64 = 1;

/// A sweep's `submission.json`: where it came from, and what its trials depend on beside sweep
/// file and notebook, which lie next to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// Of this structure.
    pub version: u64,
    /// When, in RFC 3339.
    pub submitted: String,
    /// The sweep file, as an absolute path.
    pub sweep_file: PathBuf,
    /// The notebook, as an absolute path: its cells work in its folder.
    pub notebook: PathBuf,
    /// How many trials run at once.
    pub workers: usize,
    /// The hash of the notebook's code.
    pub code_hash: String,
    /// The program that it was compiled to; `None` if nothing was to run.
    pub program: Option<SubmittedProgram>,
    /// The data by the path that cells use.
    pub data: BTreeMap<String, DataContent>,
}

/// The program of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedProgram {
    /// Its name in the cache.
    pub key: String,
    /// What it was made of.
    pub versions: Versions,
}

impl Submission {
    /// A submission of the current version, now.
    pub fn new(sweep_file: &Path, notebook: &Path, code_hash: String, workers: usize) -> Self {
        // A current folder that is gone: then the path as given must do.
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        Self {
            version: VERSION,
            submitted: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            sweep_file: absolute(sweep_file),
            notebook: absolute(notebook),
            workers,
            code_hash,
            program: None,
            data: BTreeMap::new(),
        }
    }

    /// As written, if it is of a version that we know.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let submission: Self = serde_json::from_str(text).ok()?;
        (submission.version == VERSION).then_some(submission)
    }

    /// The hash of data as submitted.
    ///
    /// # Errors
    /// When the sweep was submitted without it.
    pub fn hash(&self, path: &str) -> Result<String, DataError> {
        self.data
            .get(path)
            .map(|content| content.hash.clone())
            .ok_or_else(|| DataError::NotSubmitted {
                path: path.to_owned(),
            })
    }
}
