//! Responses are the same no matter how sequences are batched, preempted and prefilled. The models
//! are small random ones saved by `transformers`, with every kind of attention and cache.

use std::path::Path;
use std::sync::Arc;

use tch::{Kind, Tensor};

use super::engine::{DeviceState, Engine};
use super::scheduler::Limits;
use super::sequence::{Request, Sequences};
use super::{FinishReason, Response, Sampling};
use crate::adapter::Adapters;
use crate::transformer::{KvCache, PackedSequences};
use crate::{Model, ModelError};

/// Grouped-query attention, query and key norms with experts, and latent attention.
const MODELS: [&str; 3] = [
    "llama_odd_heads_tied",
    "qwen3_moe_normalised",
    "deepseek_v3",
];
/// How far a log-probability may be from that of a forward pass without a cache.
const TOLERANCE: f64 = 1e-4;

fn model(name: &str) -> Model {
    // At this size threads would only wait for each other.
    tch::set_num_threads(1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/architectures")
        .join(name);
    Model::load(folder.to_str().unwrap()).unwrap()
}

/// Seven requests with short and long prompts. Those of 270 and 530 tokens outgrow a slab of the
/// cache and need several prefill passes; two requests have the same prompt.
fn requests(max_new_tokens: usize) -> Vec<Request> {
    let prompts = [
        (1, 4),
        (2, 270),
        (3, 1),
        (4, 530),
        (5, 30),
        (5, 30),
        (6, 250),
    ];
    let request = |(index, &(prompt, length)): (usize, &(usize, usize))| {
        let tokens: Vec<u32> = (0..length)
            .map(|i| ((prompt * 7 + i * i) % 59 + 2) as u32)
            .collect();
        Request {
            prompt,
            sample: index,
            tokens: Arc::from(tokens),
            prefill: 0,
            adapter: None,
            max_new_tokens,
            random_stream: index as u64,
        }
    };
    prompts.iter().enumerate().map(request).collect()
}

/// The memory with which requests are served.
#[derive(Clone, Copy)]
struct Memory {
    /// The limits that the scheduler is given.
    limits: Limits,
    /// Tokens for which the cache really has room.
    cached_tokens: u64,
    /// Tokens of one prefill pass.
    prefill_chunk: usize,
}

const AMPLE: Memory = Memory {
    limits: Limits {
        sequences: 32,
        tokens: 1 << 20,
    },
    cached_tokens: 1 << 20,
    prefill_chunk: 2048,
};

fn generate(
    model: &Model,
    requests: Vec<Request>,
    sampling: &Sampling,
    memory: Memory,
) -> Result<Vec<Response>, ModelError> {
    let _no_grad = tch::no_grad_guard();
    let mut sequences = Sequences::new(requests, sampling, model.tokenizer())?;
    sequences.scheduler.set_limits(memory.limits);
    let slots = model.transformer().cache_layers();
    let token_bytes = KvCache::new(slots, 0).bytes_per_token();
    let cache = KvCache::new(slots, memory.cached_tokens * token_bytes);
    let mut state = DeviceState::new(cache);
    state.prefill_chunk = memory.prefill_chunk;
    let engine = Engine {
        transformer: model.transformer(),
        tokenizer: model.tokenizer(),
        device: model.device(),
    };
    for step in 0.. {
        if sequences.scheduler.is_done() {
            break;
        }
        assert!(step < 5000, "does not end: {:?}", sequences.scheduler);
        engine.step(&mut sequences, &mut state)?;
    }
    Ok(sequences.responses().map(Option::unwrap).collect())
}

/// Asserts that each token is the most likely one after those before it, except for rounding
/// errors, and that its log-probability is the reported one.
fn assert_greedy(model: &Model, requests: &[Request], responses: &[Response]) {
    let _no_grad = tch::no_grad_guard();
    for (request, response) in requests.iter().zip(responses) {
        let tokens = [&request.tokens, response.tokens.as_slice()].concat();
        let packed = PackedSequences::new([&tokens[..tokens.len() - 1]], model.device()).unwrap();
        let output = model
            .transformer()
            .forward(&packed, &Adapters::None)
            .unwrap();
        let logits = model
            .transformer()
            .logits(&output, &Adapters::None)
            .unwrap();
        let first = request.tokens.len() as i64 - 1;
        let logits = logits.slice(0, first, None, 1).log_softmax(-1, Kind::Float);
        let highest = logits.max_dim(-1, false).0;
        let reported = Tensor::from_slice(&response.log_probabilities);
        let difference = (highest - reported).abs().max().double_value(&[]);
        assert!(
            difference < TOLERANCE,
            "request {} differs by {difference}",
            request.sample
        );
    }
}

fn tokens(responses: &[Response]) -> Vec<&[u32]> {
    responses
        .iter()
        .map(|response| response.tokens.as_slice())
        .collect()
}

#[test]
fn responses_equal_those_without_a_cache_for_every_kind_of_attention_and_memory() {
    for name in MODELS {
        let model = model(name);
        let greedy = Sampling::greedy();
        let responses = generate(&model, requests(8), &greedy, AMPLE).unwrap();
        assert_greedy(&model, &requests(8), &responses);
        let sampling = Sampling::temperature(1.0).seed(3);
        let expected = generate(&model, requests(8), &sampling, AMPLE).unwrap();
        assert_ne!(
            expected[4].tokens, expected[5].tokens,
            "samples of one prompt have random streams of their own"
        );
        let limits = |sequences, tokens| Limits { sequences, tokens };
        let memories = [
            // One sequence after another.
            Memory {
                limits: limits(1, 1 << 20),
                ..AMPLE
            },
            // Sequences are admitted while others are half done, and prompts are prefilled in
            // small chunks.
            Memory {
                limits: limits(3, 1 << 20),
                prefill_chunk: 37,
                ..AMPLE
            },
            // Little more than the longest sequence needs: others are preempted.
            Memory {
                limits: limits(32, 1300),
                cached_tokens: 1300,
                ..AMPLE
            },
            // The device has less memory than the scheduler assumes: the engine recovers.
            Memory {
                cached_tokens: 1100,
                prefill_chunk: 200,
                ..AMPLE
            },
        ];
        for (index, memory) in memories.into_iter().enumerate() {
            let responses = generate(&model, requests(8), &sampling, memory).unwrap();
            assert_eq!(
                tokens(&responses),
                tokens(&expected),
                "{name}, memory {index}"
            );
        }
    }
}

#[test]
fn a_sequence_that_does_not_fit_alone_is_an_error() {
    let model = model(MODELS[0]);
    for (tokens, cached_tokens) in [(600, 600), (1 << 20, 600)] {
        let limits = Limits {
            sequences: 32,
            tokens,
        };
        let memory = Memory {
            limits,
            cached_tokens,
            ..AMPLE
        };
        let error = generate(&model, requests(8), &Sampling::greedy(), memory).unwrap_err();
        assert!(
            matches!(
                error,
                ModelError::OutOfMemory {
                    index: 4,
                    tokens: 530,
                    ..
                }
            ),
            "{error}"
        );
        let text = error.to_string();
        let expected = "chat 4: no memory on Cpu for a response of 530 tokens: the cache may take 76800 bytes, ";
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn a_stop_token_ends_a_response_and_is_its_last_token() {
    let model = model(MODELS[0]);
    let greedy = Sampling::greedy();
    let plain = generate(&model, requests(8), &greedy, AMPLE).unwrap();
    let stop = plain[0].tokens[2];
    let stopped = generate(&model, requests(8), &greedy.stop_token(stop), AMPLE).unwrap();
    let end = plain[0]
        .tokens
        .iter()
        .position(|&token| token == stop)
        .unwrap();
    assert_eq!(stopped[0].tokens, plain[0].tokens[..=end]);
    assert_eq!(stopped[0].finish_reason, FinishReason::StopToken);
    let text = model.tokenizer().decode(&plain[0].tokens[..end]).unwrap();
    assert_eq!(stopped[0].text, text);
}
