//! Compares the program that a notebook compiles to now with those that made earlier results.

use std::collections::HashMap;

use offmodel_program::{Cache, Identity, Notebook, identify};
use offmodel_toolchain::Toolchain;

use crate::store::{AttemptResult, SweepFolder};

/// The current program of a notebook, and what differed in earlier ones.
pub(crate) struct ProgramComparison {
    /// None if the program cannot be identified, for example without a toolchain.
    current: Option<Identity>,
    /// What differs, by the cache key of the earlier program: trials of one run share it.
    differences: HashMap<String, Vec<String>>,
}

impl ProgramComparison {
    /// Identifies the program of `notebook`, without compiling it.
    pub(crate) fn new(notebook: &Notebook) -> Self {
        let current = Cache::of_user().and_then(|cache| {
            let toolchain = Toolchain::locate().ok()?;
            identify(notebook, &toolchain, &cache).ok()
        });
        Self {
            current,
            differences: HashMap::new(),
        }
    }

    /// The parts (`prelude`, `libtorch`, ...) that differ between the current program and the one
    /// that made `result`; none if that is unknown.
    pub(crate) fn differences(
        &mut self,
        folder: &SweepFolder,
        result: &AttemptResult,
    ) -> Option<Vec<String>> {
        let current = self.current.as_ref()?;
        let spec = || folder.spec(&result.trial, result.attempt);
        let key = match &result.program {
            Some(key) => key.clone(),
            None => spec()?.provenance.program,
        };
        if key == current.key {
            return Some(Vec::new());
        }
        if let Some(known) = self.differences.get(&key) {
            return Some(known.clone());
        }
        let parts = match spec()?.provenance.versions {
            Some(versions) => versions
                .differences(&current.versions)
                .into_iter()
                .map(str::to_owned)
                .collect(),
            None => vec!["program".to_owned()],
        };
        self.differences.insert(key, Vec::clone(&parts));
        Some(parts)
    }
}
