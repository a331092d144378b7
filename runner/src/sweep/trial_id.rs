//! The name of a trial: a hash of what decides its result.

use std::collections::BTreeMap;

use offmodel_support::digest;
use sha2::{Digest, Sha256};

use crate::assignment::Assignment;

/// Hashes of data, by the path that cells use.
pub type DataHashes = BTreeMap<String, String>;

/// The first 16 hexadecimal digits of a hash of code, parameters and data.
///
/// `parameters` includes the defaults, so that a sweep file may spell a default out without making
/// a new trial. Trials without data have the same ids as in versions of offmodel that knew no data.
pub fn trial_id(code_hash: &str, parameters: &Assignment, data: &DataHashes) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"offmodel trial 1");
    hasher.update(code_hash.as_bytes());
    let mut add = |text: &str| {
        hasher.update((text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for (name, value) in parameters {
        add(name);
        add(&value.to_string());
    }
    for (path, content) in data {
        // Separates data from parameters, of which none has an empty name.
        add("");
        add(path);
        add(content);
    }
    digest::hexadecimal(hasher)[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_trials_without_data_are_those_of_earlier_versions() {
        assert_eq!(
            trial_id("code", &Assignment::new(), &DataHashes::new()),
            digest::sha256("offmodel trial 1code")[..16]
        );
    }
}
