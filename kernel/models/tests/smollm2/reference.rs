//! The model, and helpers to compare with recorded values.

use std::path::Path;

use offmodel_models::{Model, ModelError};
use serde_json::Value as Json;
use tch::{Kind, Tensor};

/// SmolLM2; absent, with the calling test recorded as skipped, if it is not installed.
pub(crate) fn smollm2() -> Option<Model> {
    match Model::load("smollm2") {
        Ok(model) => Some(model),
        Err(ModelError::NotFound { .. }) => {
            offmodel_support::testing::skip("no default model (`cargo demo` fetches it)");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn fixture(name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

pub(crate) fn integers(json: &Json) -> Vec<u32> {
    serde_json::from_value(json.clone()).unwrap()
}

pub(crate) fn integers_of_rows(json: &Json) -> Vec<u32> {
    json.as_array().unwrap().iter().flat_map(integers).collect()
}

pub(crate) fn numbers(json: &Json) -> Vec<f64> {
    match json {
        Json::Array(elements) => elements.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// The largest absolute difference between `found` and the numbers in `reference`.
pub(crate) fn distance(found: &Tensor, reference: &Json) -> f64 {
    let reference = Tensor::from_slice(&numbers(reference));
    let found = found.to_kind(Kind::Double).contiguous().view(-1);
    (found - reference).abs().max().double_value(&[])
}

/// Asserts that two numbers differ by less than `relative`, relative to the expected one.
pub(crate) fn assert_close(found: f64, expected: f64, relative: f64) {
    let difference = (found / expected - 1.0).abs();
    assert!(difference < relative, "{found} instead of {expected}");
}

/// A tensor of zeros on the CPU.
pub(crate) fn zeros(shape: [i64; 2]) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu))
}
