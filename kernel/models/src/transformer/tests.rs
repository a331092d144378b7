//! Decoding with a cache, on the small models of `tests/reference/architectures.py`.

use std::path::Path;

use tch::{Device, Kind, Tensor};

use super::{KvCache, PackedSequences, Transformer};
use crate::adapter::Adapters;
use crate::checkpoint::{Checkpoint, SafetensorsCheckpoint};
use crate::device::Placement;

const CPU: Device = Device::Cpu;

#[test]
fn decoding_with_a_cache_equals_a_full_pass_even_beyond_sliding_windows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/architectures");
    // Small products are faster on one thread, by far where other processes use the cores.
    tch::set_num_threads(1);
    let mut sliding_models = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let checkpoint = SafetensorsCheckpoint::open(&path).unwrap();
        let configuration = checkpoint.configuration().unwrap();
        let variations = &configuration.variations;
        sliding_models += usize::from(variations.sliding_attention.is_some());
        let num_layers = configuration.num_hidden_layers;
        let mut placements = vec![Placement::single(CPU, num_layers, Kind::Float)];
        if variations.num_kv_shared_layers > 0 {
            placements.push(Placement::even(&[CPU; 2], num_layers, Kind::Float));
        }
        for placement in placements {
            let transformer = Transformer::load(&checkpoint, &configuration, &placement).unwrap();
            let tokens: Vec<u32> = (0..60).map(|index| index * 17 % 61).collect();
            assert_decoding_equals_full_pass(&transformer, &tokens, &path.display().to_string());
        }
    }
    assert!(sliding_models >= 6, "{sliding_models} models with windows");
}

/// Decodes three sequences of different lengths, each prefilled in two chunks.
fn assert_decoding_equals_full_pass(transformer: &Transformer, tokens: &[u32], name: &str) {
    let _no_grad = tch::no_grad_guard();
    let adapters = Adapters::None;
    let logits = |output: &Tensor| transformer.logits(output, &adapters).unwrap();
    let whole = PackedSequences::new([tokens], CPU).unwrap();
    let expected = logits(&transformer.forward(&whole, &adapters).unwrap());
    let scale = expected.abs().max().double_value(&[]);

    let mut cache = KvCache::new(transformer.cache_layers(), u64::MAX);
    let prompt_lengths = [30, 3, 17];
    for (sequence, &length) in prompt_lengths.iter().enumerate() {
        cache.insert(sequence, length).unwrap();
        for (start, end) in [(0, length / 2), (length / 2, length)] {
            let chunk = PackedSequences::chunks([(start, &tokens[start..end])], CPU).unwrap();
            transformer
                .prefill(&chunk, &[sequence], &mut cache, &adapters)
                .unwrap();
        }
    }
    for step in 0..25 {
        let next = prompt_lengths.map(|length| i64::from(tokens[length + step]));
        let next = Tensor::from_slice(&next);
        cache.grow_full_rows().unwrap();
        let output = transformer.decode(&next, &mut cache, &adapters).unwrap();
        let found = logits(&output);
        for (sequence, length) in prompt_lengths.iter().enumerate() {
            let expected = expected.get((length + step) as i64);
            let difference = (found.get(sequence as i64) - expected).abs().max();
            let difference = difference.double_value(&[]) / scale;
            assert!(
                difference < 1e-4,
                "{name}: sequence {sequence}, step {step}: {difference:e}"
            );
        }
    }
}
