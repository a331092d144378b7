//! The benchmark of `examples/gpu_speed.rs` on a shape that any CPU computes in seconds: what it
//! measures there means nothing, but nothing in it is run for the first time on a GPU.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::path::PathBuf;
use std::process::Command;

/// Cargo builds examples beside the folder of the tests.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent()
        .unwrap()
        .with_file_name("examples")
        .join("gpu_speed")
}

#[test]
fn every_speed_is_measured() {
    if !example().is_file() {
        offmodel_support::testing::skip(
            "example gpu_speed is not built (cargo build --workspace --examples)",
        );
        return;
    }
    let run = Command::new(example()).arg("tiny").output().unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let said = String::from_utf8(run.stdout).unwrap();
    let line = said.lines().last().unwrap();
    let measured: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(measured["parameters"], 41_184);
    for speed in [
        "bytes_per_second",
        "bf16_operations_per_second",
        "decode_single",
        "decode_batch",
        "lora_sft",
    ] {
        assert!(
            measured[speed].as_f64().unwrap() > 0.0,
            "{speed}: {measured}"
        );
    }
}
