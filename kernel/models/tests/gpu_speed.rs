//! Runs the benchmark `examples/gpu_speed.rs` with a tiny model on any device, so that it is known
//! to work before it is run on a GPU. The speeds that it measures here mean nothing.

#![expect(clippy::unwrap_used, reason = "test helpers may panic")]

use std::path::PathBuf;
use std::process::Command;

/// The path of the example: Cargo puts examples into a folder beside that of the test programs.
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
    let stdout = String::from_utf8(run.stdout).unwrap();
    let line = stdout.lines().last().unwrap();
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
