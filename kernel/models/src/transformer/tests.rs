//! What the cache gives back, on the small models of `tests/reference/architectures.py`.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::{KvCache, PackedSequences, Transformer};
use crate::adapter::Adapters;
use crate::checkpoint::{Checkpoint, SafetensorsCheckpoint};
use crate::device::Placement;

const CPU: Device = Device::Cpu;

#[test]
fn decoding_with_a_cache_equals_the_full_pass_also_beyond_windows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/architectures");
    // Small products are faster without other threads, by far where cores are busy.
    tch::set_num_threads(1);
    let mut windows = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let checkpoint = SafetensorsCheckpoint::open(&path).unwrap();
        let configuration = checkpoint.configuration().unwrap();
        windows += usize::from(configuration.variations.local.is_some());
        let layers = configuration.num_hidden_layers;
        let whole = Placement::on(CPU, layers, Kind::Float);
        let spread = Placement::even(&[CPU; 2], layers, Kind::Float);
        let is_shared = configuration.variations.num_kv_shared_layers > 0;
        let placements = if is_shared {
            vec![whole, spread]
        } else {
            vec![whole]
        };
        for placement in placements {
            let transformer = Transformer::load(&checkpoint, &configuration, &placement).unwrap();
            let tokens: Vec<u32> = (0..60).map(|index| index * 17 % 61).collect();
            check(&transformer, &tokens, &format!("{}", path.display()));
        }
    }
    assert!(windows >= 6, "{windows} models with windows");
}

/// Three rows of different lengths, filled in parts and then token by token.
fn check(transformer: &Transformer, tokens: &[u32], name: &str) {
    let _no_grad = tch::no_grad_guard();
    let adapters = Adapters::None;
    let logits = |output: &Tensor| transformer.logits(output, &adapters).unwrap();
    let whole = PackedSequences::new([tokens], CPU).unwrap();
    let expected = logits(&transformer.forward(&whole, &adapters).unwrap());
    let scale = expected.abs().max().double_value(&[]);

    let mut cache = KvCache::new(transformer.cache_layers(), u64::MAX);
    let begun = [30, 3, 17];
    for (owner, &length) in begun.iter().enumerate() {
        cache.insert(owner, length).unwrap();
        for (start, end) in [(0, length / 2), (length / 2, length)] {
            let part = PackedSequences::chunks([(start, &tokens[start..end])], CPU).unwrap();
            transformer
                .prefill(&part, &[owner], &mut cache, &adapters)
                .unwrap();
        }
    }
    for step in 0..25 {
        let next: Vec<i64> = begun.map(|length| i64::from(tokens[length + step])).into();
        let next = Tensor::from_slice(&next);
        cache.grow_full_rows().unwrap();
        let output = transformer.decode(&next, &mut cache, &adapters).unwrap();
        let found = logits(&output);
        for (row, length) in begun.iter().enumerate() {
            let expected = expected.get((length + step) as i64);
            let difference = (found.get(row as i64) - expected).abs().max();
            let difference = difference.double_value(&[]) / scale;
            assert!(
                difference < 1e-4,
                "{name}: row {row}, step {step}: {difference:e}"
            );
        }
    }
}
