//! The two records of an attempt: `spec.json` before it runs, `result.json` when it has ended.

use offmodel_events::batch::SPEC_VERSION;
use serde::{Deserialize, Serialize};

use super::{FailureReason, Provenance, TrialStatus};
use crate::assignment::Assignment;
use crate::sweep::DataHashes;

/// The version of `result.json`; results of another version are ignored.
pub const RESULT_VERSION: u64 = 1;

/// `spec.json`: what an attempt runs, and where its code came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpecRecord {
    /// Format version; programs reject newer ones.
    pub version: u64,
    /// The trial's id.
    pub trial: String,
    /// The attempt's number, from 1.
    pub attempt: usize,
    /// The parameter values that differ from the notebook's text; the program reads these.
    #[serde(rename = "parameters")]
    pub overrides: Assignment,
    /// The overrides, and the defaults that are literals.
    #[serde(rename = "all_parameters")]
    pub parameters: Assignment,
    /// The parameters that seed random number generators: `seed`, and names that end in `_seed`.
    #[serde(default)]
    pub seeds: Assignment,
    /// The hashes of the data that the attempt reads, by the path that its cells use.
    #[serde(default)]
    pub data: DataHashes,
    /// Where code and environment came from.
    pub provenance: Provenance,
}

impl SpecRecord {
    /// A record of the current version, without data.
    pub fn new(
        trial: String,
        attempt: usize,
        overrides: Assignment,
        parameters: Assignment,
        provenance: Provenance,
    ) -> Self {
        let seeds = parameters
            .iter()
            .filter(|(name, _)| *name == "seed" || name.ends_with("_seed"))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Self {
            version: SPEC_VERSION,
            trial,
            attempt,
            overrides,
            parameters,
            seeds,
            data: DataHashes::new(),
            provenance,
        }
    }
}

/// `result.json`: how an attempt ended.
///
/// It is the last file of an attempt, and only attempts that ended by themselves, or were
/// cancelled, have one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptResult {
    /// Format version; results of another version are ignored.
    pub version: u64,
    /// The trial's id.
    pub trial: String,
    /// The attempt's number, from 1.
    pub attempt: usize,
    /// A final status.
    pub status: TrialStatus,
    /// Why the attempt did not succeed.
    pub cause: Option<FailureReason>,
    /// The cache key of the program that ran; earlier versions of offmodel did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// When the attempt started, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// When the attempt ended, in RFC 3339.
    pub ended: String,
    /// Wall-clock time in seconds.
    pub seconds: f64,
    /// The largest resident memory, in bytes.
    pub peak_memory: u64,
    /// The logical cores that the attempt was pinned to; empty if it was not pinned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cores: Vec<usize>,
    /// The attempt's GPUs, as in `CUDA_VISIBLE_DEVICES`; empty if it saw those of the runner.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpus: Vec<String>,
    /// Names of the frames that the attempt recorded.
    pub frames: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_of_this_version_stays_readable() {
        let written = r#"{"version":1,"trial":"00112233445566aa","attempt":2,"status":"failed","cause":{"kind":"cell","cell":3,"line":2,"name":"ParseIntError","value":"invalid digit found in string"},"ended":"2026-01-01T00:00:00Z","seconds":1.5,"peak_memory":1024,"frames":["result"]}"#;
        let result: AttemptResult = serde_json::from_str(written).unwrap();
        assert_eq!(serde_json::to_string(&result).unwrap(), written);
        assert_eq!(
            result.cause.unwrap().to_string(),
            "cell 3, line 2: ParseIntError: invalid digit found in string"
        );
    }
}
