//! Every architecture against `transformers` on small models that it saved itself.
//!
//! Models and logits: `tests/reference/architectures.py`.

use std::path::PathBuf;

use offmodel_models::Model;
use safetensors::SafeTensors;
use tch::{Kind, Tensor};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/architectures")
}

#[test]
fn logits_equal_those_of_transformers() {
    let mut worst = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let model = match Model::load(path.to_str().unwrap()) {
            Ok(model) => model,
            Err(error) => panic!("{name}: {error}"),
        };
        let bytes = std::fs::read(path.join("reference.safetensors")).unwrap();
        let reference = SafeTensors::deserialize(&bytes).unwrap();
        let tokens = reference.tensor("tokens").unwrap();
        let tokens: Vec<u32> = tokens
            .data()
            .chunks(8)
            .map(|bytes| i64::from_le_bytes(bytes.try_into().unwrap()) as u32)
            .collect();
        let expected = reference.tensor("logits").unwrap();
        let shape: Vec<i64> = expected.shape().iter().map(|&size| size as i64).collect();
        let expected = Tensor::from_data_size(expected.data(), &shape, Kind::Float);
        let found = model.logits(&tokens).unwrap().to_device(tch::Device::Cpu);
        let difference = (&found - &expected).abs().max() / expected.abs().max();
        worst.push((name, difference.double_value(&[])));
    }
    println!("{worst:#?}");
    assert_eq!(worst.len(), 12);
    for (name, difference) in worst {
        assert!(difference <= 1e-4, "{name}: {difference:e}");
    }
}
