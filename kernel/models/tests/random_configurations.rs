//! Random valid configurations of every architecture, as `transformers` saves them or as people
//! edit them by hand: equal logits, or a refusal that names the field, but never a silent
//! difference.
//!
//! `tests/reference/random_configurations.py` makes the folders. They are not committed: the test
//! is skipped unless `OFFMODEL_TEST_CONFIGURATIONS` names the folder that holds them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::{Path, PathBuf};

use offmodel_models::{LoadOptions, Model};
use offmodel_support::testing::skip;
use safetensors::SafeTensors;
use tch::{Device, Kind, Tensor};

/// Largest difference of logits, relative to the largest logit.
const TOLERANCE: f64 = 1e-4;

/// What became of one folder.
enum Outcome {
    Equal,
    Refused(String),
    Different(f64),
}

fn compare(folder: &Path) -> Outcome {
    let bytes = std::fs::read(folder.join("reference.safetensors")).unwrap();
    let reference = SafeTensors::deserialize(&bytes).unwrap();
    let tokens = reference.tensor("tokens").unwrap().data().chunks(8);
    let tokens: Vec<u32> = tokens
        .map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()) as u32)
        .collect();
    let view = reference.tensor("logits").unwrap();
    let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
    let expected = Tensor::from_data_size(view.data(), &shape, Kind::Float);
    let options = LoadOptions::default().device(Device::Cpu);
    let model = match Model::load_with(folder.to_str().unwrap(), &options) {
        Ok(model) => model,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let found = match model.logits(&tokens) {
        Ok(found) => found,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    if found.size() != expected.size() {
        return Outcome::Different(f64::INFINITY);
    }
    let difference = (&found - &expected).abs().max() / expected.abs().max();
    let difference = difference.double_value(&[]);
    // A NaN is a difference, too.
    if difference <= TOLERANCE {
        Outcome::Equal
    } else {
        Outcome::Different(difference)
    }
}

#[test]
fn no_configuration_is_silently_different() {
    let Some(root) = std::env::var_os("OFFMODEL_TEST_CONFIGURATIONS").map(PathBuf::from) else {
        return skip(
            "no random configurations (tests/reference/random_configurations.py makes them, \
             OFFMODEL_TEST_CONFIGURATIONS names their folder)",
        );
    };
    tch::set_num_threads(1);
    let entries = std::fs::read_dir(root).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let (mut equal, mut refused, mut different) = (0, 0, Vec::new());
    for folder in &folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        match compare(folder) {
            Outcome::Equal => equal += 1,
            Outcome::Refused(reason) => {
                refused += 1;
                println!("{name}: refused: {reason}");
            }
            Outcome::Different(difference) => {
                println!("{name}: different by {difference:e}");
                different.push(name);
            }
        }
    }
    println!(
        "{equal} equal, {refused} refused, {} different",
        different.len()
    );
    assert!(different.is_empty(), "{different:?}");
}
