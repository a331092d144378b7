//! `submission.json`: where a sweep came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use offmodel_program::Versions;
use serde::{Deserialize, Serialize};

use super::{DataContent, DataError};

/// The version of `submission.json`.
const VERSION: u64 = 1;

/// What a sweep was submitted with, besides the sweep file and the notebook beside this record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Submission {
    /// Format version; records of another version are ignored.
    pub version: u64,
    /// When the sweep was submitted, in RFC 3339.
    pub submitted: String,
    /// The absolute path of the sweep file.
    pub sweep_file: PathBuf,
    /// The absolute path of the notebook, in whose folder its cells run.
    pub notebook: PathBuf,
    /// How many trials run at once.
    pub workers: usize,
    /// The hash of the notebook's code.
    pub code_hash: String,
    /// The compiled notebook; none if no trial had to run.
    pub program: Option<SubmittedProgram>,
    /// The content of the data, by the path that cells use.
    pub data: BTreeMap<String, DataContent>,
}

/// The program that a notebook was compiled to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubmittedProgram {
    /// Its key in the cache.
    pub key: String,
    /// The versions of compiler, prelude and libtorch.
    pub versions: Versions,
}

impl Submission {
    /// A submission of the current version, made now.
    pub fn new(sweep_file: &Path, notebook: &Path, code_hash: String, workers: usize) -> Self {
        // Fails only if the current folder was removed; then the relative path must do.
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

    pub(super) fn parse(text: &str) -> Option<Self> {
        let submission: Self = serde_json::from_str(text).ok()?;
        (submission.version == VERSION).then_some(submission)
    }

    /// The hash of data as submitted.
    ///
    /// # Errors
    /// [`DataError::NotSubmitted`].
    pub fn hash(&self, path: &str) -> Result<String, DataError> {
        self.data
            .get(path)
            .map(|content| content.hash.clone())
            .ok_or_else(|| DataError::NotSubmitted {
                path: path.to_owned(),
            })
    }
}
