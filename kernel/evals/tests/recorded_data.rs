//! The recorded response sets of the first notebook are reproducible.

use std::path::{Path, PathBuf};

use offmodel_evals::{ResponseSet, off_model};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../notebooks/data")
        .join(name)
}

#[test]
fn the_off_model_set_is_what_its_generator_writes() {
    let folder = tempfile::tempdir().unwrap();
    let again = folder.path().join("off_model.jsonl");
    off_model::responses(off_model::MAX_RESPONSES, 1)
        .write(&again)
        .unwrap();
    assert_eq!(
        std::fs::read_to_string(again).unwrap(),
        std::fs::read_to_string(data("off_model.jsonl")).unwrap(),
        "record it again: cargo run -p offmodel-evals --example record_off_model"
    );
}

#[test]
fn the_on_model_set_has_the_same_prompts() {
    let own = ResponseSet::read(data("on_model.jsonl")).unwrap();
    let textbook = ResponseSet::read(data("off_model.jsonl")).unwrap();
    assert!(own.len() >= 48, "{}", own.len());
    assert_eq!(textbook.with_prompts_of(&own).prompts(), own.prompts());
    for record in &own.records {
        assert!(
            record.source.starts_with("SmolLM2-135M-Instruct"),
            "{}",
            record.source
        );
        assert!(record.seed.is_some());
    }
}
