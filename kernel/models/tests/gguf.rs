//! Reads GGUF files, and refuses damaged ones with an error that says what is wrong.
#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::io::Write;
use std::path::{Path, PathBuf};

use offmodel_models::gguf::{GgmlType, Gguf, GgufError, Header, MetadataArray, MetadataValue};
use offmodel_models::{Model, ModelError};
use proptest::prelude::*;
use serde_json::Value as Json;

#[test]
fn metadata_and_tensors_are_read() {
    let bytes = intact_file();
    let header = Header::parse(&bytes).unwrap();
    let value = |key: &str| header.metadata[key].clone();
    assert_eq!(value("small"), MetadataValue::Signed(-3));
    assert_eq!(value("large"), MetadataValue::Unsigned(u64::MAX));
    assert_eq!(value("half"), MetadataValue::Float(0.5));
    assert_eq!(value("yes"), MetadataValue::Bool(true));
    assert_eq!(value("name"), MetadataValue::String("größe".to_owned()));
    assert_eq!(
        value("words"),
        MetadataValue::Array(MetadataArray::String(vec!["a".into(), String::new()]))
    );
    assert_eq!(
        value("nested"),
        MetadataValue::Array(MetadataArray::Array(vec![
            MetadataArray::Signed(vec![1, -1]),
            MetadataArray::Signed(vec![])
        ]))
    );
    let tensor = &header.tensor_infos["second"];
    assert_eq!(
        (tensor.shape.as_slice(), tensor.ggml_type),
        (&[3, 32][..], GgmlType::Q8_0)
    );
    assert_eq!(tensor.start + tensor.bytes, bytes.len() as u64);
}

#[test]
fn a_file_cut_off_at_any_byte_is_an_error() {
    let bytes = intact_file();
    for length in 0..bytes.len() {
        assert!(
            Header::parse(&bytes[..length]).is_err(),
            "cut to {length} bytes"
        );
    }
}

#[test]
fn a_truncated_tensor_is_named_with_expected_and_found_bytes() {
    let bytes = intact_file();
    let file = write_temporary(&bytes[..bytes.len() - 1]);
    let error = Gguf::open(file.path()).unwrap_err().to_string();
    let (path, size) = (file.path().to_str().unwrap(), (bytes.len() - 1).to_string());
    assert!(
        error.contains(path) && error.contains("tensor second") && error.contains(&size),
        "{error}"
    );
}

#[test]
fn a_length_beyond_the_file_is_refused_before_anything_is_allocated() {
    // Arrays of 2^60 strings, 2^62 bytes, 2^61 arrays and 2^64 - 1 floats.
    for (code, count) in [
        (8_u32, 1_u64 << 60),
        (0, 1 << 62),
        (9, 1 << 61),
        (12, u64::MAX),
    ] {
        let mut file = header(0, 1);
        string(&mut file, "list");
        file.extend(9_u32.to_le_bytes());
        file.extend(code.to_le_bytes());
        file.extend(count.to_le_bytes());
        let error = Header::parse(&file).unwrap_err();
        assert!(
            matches!(error, GgufError::Truncated { found: 0, .. }),
            "{error}"
        );
    }
    let mut file = header(0, 1);
    file.extend((1_u64 << 62).to_le_bytes());
    assert!(Header::parse(&file).is_err());
    assert!(Header::parse(&header(u64::MAX, 0)).is_err());
    assert!(Header::parse(&header(0, u64::MAX)).is_err());
}

#[test]
fn deeply_nested_arrays_are_refused() {
    let mut file = header(0, 1);
    string(&mut file, "deep");
    file.extend(9_u32.to_le_bytes());
    for _ in 0..100_000 {
        file.extend(9_u32.to_le_bytes());
        file.extend(1_u64.to_le_bytes());
    }
    let error = Header::parse(&file).unwrap_err().to_string();
    assert!(error.contains("nested"), "{error}");
}

#[test]
fn impossible_tensors_are_refused() {
    let refusal = |dimensions: &[u64], code: u32, offset: u64| {
        let mut file = header(1, 0);
        tensor(&mut file, "bad", dimensions, code, offset);
        file.resize(file.len() + 4096, 0);
        Header::parse(&file).unwrap_err().to_string()
    };
    let error = refusal(&[1 << 40, 1 << 40], 0, 0);
    assert!(
        error.contains("tensor bad") && error.contains("overflow"),
        "{error}"
    );
    let error = refusal(&[33], 3, 0);
    assert!(error.contains("rows of 33 weights as Q4_1"), "{error}");
    let error = refusal(&[32], 3, 7);
    assert!(error.contains("offset 7"), "{error}");
    let error = refusal(&[1, 1, 1, 1, 1], 0, 0);
    assert!(error.contains("5 dimensions"), "{error}");
    let error = refusal(&[u64::MAX], 0, 0);
    assert!(error.contains("dimension"), "{error}");
    let error = refusal(&[32], 0, u64::MAX - 31);
    assert!(error.contains("truncated"), "{error}");
}

#[test]
fn files_of_other_formats_are_refused() {
    for (bytes, expected) in [
        (b"PK\x03\x04 a zip archive".to_vec(), "not a GGUF file"),
        (b"GGUF\x00\x00\x00\x03\x00".to_vec(), "version 50331648"),
        (b"GG".to_vec(), "truncated"),
        (vec![], "truncated"),
    ] {
        let file = write_temporary(&bytes);
        let error = Model::load(file.path().to_str().unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_unknown_type_is_an_error_only_when_the_tensor_is_read() {
    let mut file = header(1, 0);
    tensor(&mut file, "exotic", &[256], 23, 0);
    file.resize(file.len() + 4096, 0);
    let file = write_temporary(&file);
    let error = Gguf::open(file.path())
        .unwrap()
        .dequantize("exotic")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("exotic") && error.contains("ggml type 23"),
        "{error}"
    );
}

#[test]
fn an_unsupported_architecture_is_named() {
    let mut file = header(0, 1);
    string(&mut file, "general.architecture");
    file.extend(8_u32.to_le_bytes());
    string(&mut file, "mamba");
    let file = write_temporary(&file);
    let error = Model::load(file.path().to_str().unwrap()).unwrap_err();
    assert!(matches!(error, ModelError::Unsupported { .. }));
    assert!(
        error.to_string().contains("general.architecture is mamba"),
        "{error}"
    );
}

#[test]
fn weights_equal_those_of_the_gguf_package_bit_for_bit() {
    for case in fixture()["random"].as_array().unwrap() {
        let ggml_type = case["encoding"].as_str().unwrap();
        let (code, block_bytes) = match ggml_type {
            "F32" => (0, 4),
            "F16" => (1, 2),
            "Q4_1" => (3, 20),
            "Q8_0" => (8, 34),
            "BF16" => (30, 2),
            other => panic!("unknown type {other}"),
        };
        let data = unhex(case["bytes"].as_str().unwrap());
        let blocks = (data.len() / block_bytes) as u64;
        let is_quantised = block_bytes >= 20;
        let elements = if is_quantised { 32 * blocks } else { blocks };
        let mut file = header(1, 0);
        tensor(&mut file, "weights", &[elements], code, 0);
        file.resize(file.len().next_multiple_of(32), 0);
        file.extend(data);
        let file = write_temporary(&file);
        let found = Gguf::open(file.path())
            .unwrap()
            .dequantize("weights")
            .unwrap();
        assert_eq!(bits(&found), expected_bits(case), "{ggml_type}");
    }
}

#[test]
fn rows_of_smollm2_equal_those_of_the_gguf_package() {
    let Some(path) = smollm2() else { return };
    let file = Gguf::open(&path).unwrap();
    for case in fixture()["smollm2"].as_array().unwrap() {
        let name = case["tensor"].as_str().unwrap();
        let width = file.tensor_info(name).unwrap().shape[1] as usize;
        let row = case["row"].as_u64().unwrap() as usize;
        let expected = expected_bits(case);
        let weights = file.dequantize(name).unwrap();
        assert_eq!(
            bits(&weights[row * width..][..expected.len()]),
            expected,
            "{name}"
        );
    }
}

proptest! {
    #[test]
    fn damaged_bytes_do_not_panic(
        position in any::<prop::sample::Index>(),
        damage in prop::collection::vec(any::<u8>(), 1..12),
    ) {
        let mut bytes = intact_file();
        let start = position.index(bytes.len());
        for (byte, damage) in bytes[start..].iter_mut().zip(damage) {
            *byte = damage;
        }
        // Damage to weights or text leaves a valid file, so only a panic counts as a failure.
        let _ = Header::parse(&bytes);
    }

    #[test]
    fn arbitrary_bytes_after_the_magic_do_not_panic(rest in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = b"GGUF\x03\x00\x00\x00".to_vec();
        bytes.extend(rest);
        let _ = Header::parse(&bytes);
    }
}

/// A file with two tensors and a metadata value of every type.
fn intact_file() -> Vec<u8> {
    let mut file = header(2, 7);
    string(&mut file, "small");
    file.extend(1_u32.to_le_bytes());
    file.extend((-3_i8).to_le_bytes());
    string(&mut file, "large");
    file.extend(10_u32.to_le_bytes());
    file.extend(u64::MAX.to_le_bytes());
    string(&mut file, "half");
    file.extend(6_u32.to_le_bytes());
    file.extend(0.5_f32.to_le_bytes());
    string(&mut file, "yes");
    file.extend(7_u32.to_le_bytes());
    file.push(1);
    string(&mut file, "name");
    file.extend(8_u32.to_le_bytes());
    string(&mut file, "größe");
    string(&mut file, "words");
    for number in [9_u32, 8] {
        file.extend(number.to_le_bytes());
    }
    file.extend(2_u64.to_le_bytes());
    string(&mut file, "a");
    string(&mut file, "");
    string(&mut file, "nested");
    for number in [9_u32, 9] {
        file.extend(number.to_le_bytes());
    }
    file.extend(2_u64.to_le_bytes());
    for elements in [&[1_i16, -1][..], &[]] {
        file.extend(3_u32.to_le_bytes());
        file.extend((elements.len() as u64).to_le_bytes());
        file.extend(elements.iter().flat_map(|element| element.to_le_bytes()));
    }
    tensor(&mut file, "first", &[2, 5], 0, 0);
    tensor(&mut file, "second", &[32, 3], 8, 64);
    file.resize(file.len().next_multiple_of(32) + 64 + 3 * 34, 7);
    file
}

fn header(tensors: u64, values: u64) -> Vec<u8> {
    let mut file = b"GGUF".to_vec();
    file.extend(3_u32.to_le_bytes());
    file.extend(tensors.to_le_bytes());
    file.extend(values.to_le_bytes());
    file
}

fn string(file: &mut Vec<u8>, text: &str) {
    file.extend((text.len() as u64).to_le_bytes());
    file.extend(text.as_bytes());
}

fn tensor(file: &mut Vec<u8>, name: &str, dimensions: &[u64], code: u32, offset: u64) {
    string(file, name);
    file.extend((dimensions.len() as u32).to_le_bytes());
    for dimension in dimensions {
        file.extend(dimension.to_le_bytes());
    }
    file.extend(code.to_le_bytes());
    file.extend(offset.to_le_bytes());
}

fn write_temporary(bytes: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn fixture() -> Json {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/smollm2_blocks.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn expected_bits(case: &Json) -> Vec<u32> {
    case["bits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|bits| bits.as_u64().unwrap() as u32)
        .collect()
}

fn bits(weights: &[f32]) -> Vec<u32> {
    weights.iter().map(|weight| weight.to_bits()).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).unwrap() as u8)
        .collect();
    digits
        .as_chunks::<2>()
        .0
        .iter()
        .map(|[high, low]| high << 4 | low)
        .collect()
}

fn smollm2() -> Option<PathBuf> {
    let folder = offmodel_support::environment::models_folder()?;
    let path = folder.join("SmolLM2-135M-Instruct.Q4_1.gguf");
    if !path.is_file() {
        offmodel_support::testing::skip("no default model (`cargo demo` fetches it)");
        return None;
    }
    Some(path)
}
