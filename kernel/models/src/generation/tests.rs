//! Whatever happens to a request on its way, it gets the tokens that the model gives without a
//! cache and without company: on the small random models that `transformers` saved, of every kind
//! of attention and cache.

use std::path::Path;
use std::sync::Arc;

use tch::{Kind, Tensor};

use super::decoding::{Decoder, Rows};
use super::schedule::Bounds;
use super::work::{Request, Work};
use super::{Finish, Response, Sampling};
use crate::adapter::Adapters;
use crate::transformer::{KvCache, PackedSequences};
use crate::{Model, ModelError};

/// Grouped-query attention, query and key norms with experts, and latent attention.
const MODELS: [&str; 3] = [
    "llama_odd_heads_tied",
    "qwen3_moe_normalised",
    "deepseek_v3",
];
/// How far log-probabilities may be from those without a cache.
const TOLERANCE: f64 = 1e-4;

fn model(name: &str) -> Model {
    // Threads would only wait for each other at this size.
    tch::set_num_threads(1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/architectures")
        .join(name);
    Model::load(folder.to_str().unwrap()).unwrap()
}

/// Prompts short and long: the second and the fourth need several slabs and several fills. The
/// last two are one.
fn requests(limit: usize) -> Vec<Request> {
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
            beginning: 0,
            adapter: None,
            limit,
            stream: index as u64,
        }
    };
    prompts.iter().enumerate().map(request).collect()
}

/// How a request is worked on.
#[derive(Clone, Copy)]
struct Way {
    bounds: Bounds,
    /// Tokens for which the cache gives out rows in truth.
    cached_tokens: u64,
    /// Tokens that are processed at once to fill rows.
    fill: usize,
}

const AMPLE: Way = Way {
    bounds: Bounds {
        rows: 32,
        tokens: 1 << 20,
    },
    cached_tokens: 1 << 20,
    fill: 2048,
};

fn respond(
    model: &Model,
    requests: Vec<Request>,
    sampling: &Sampling,
    way: Way,
) -> Result<Vec<Response>, ModelError> {
    let _no_grad = tch::no_grad_guard();
    let count = requests.len();
    let mut work = Work::new(requests, sampling, model.tokenizer(), way.bounds)?;
    let bytes_per_token = KvCache::new(model.transformer().cache_layers(), 0).bytes_per_token();
    let limit = way.cached_tokens * bytes_per_token;
    let cache = KvCache::new(model.transformer().cache_layers(), limit);
    let mut rows = Rows::new(cache);
    rows.fill = way.fill;
    let decoder = Decoder {
        transformer: model.transformer(),
        tokenizer: model.tokenizer(),
        device: model.device(),
    };
    for turn in 0.. {
        if work.schedule.is_done() {
            break;
        }
        assert!(turn < 5000, "no end in sight: {:?}", work.schedule);
        decoder.turn(&mut work, &mut rows)?;
    }
    Ok((0..count)
        .map(|request| work.response(request).unwrap().clone())
        .collect())
}

/// Asserts that each token is the likeliest after those before it, up to the last digits, and has
/// the log-probability that is reported.
fn assert_greedy(model: &Model, requests: &[Request], responses: &[Response]) {
    let _no_grad = tch::no_grad_guard();
    for (request, response) in requests.iter().zip(responses) {
        let fed = [&request.tokens, response.tokens.as_slice()].concat();
        let packed = PackedSequences::new([&fed[..fed.len() - 1]], model.device()).unwrap();
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
        let likeliest = logits.max_dim(-1, false).0;
        let said = Tensor::from_slice(&response.log_probabilities);
        let difference = (likeliest - said).abs().max().double_value(&[]);
        assert!(
            difference < TOLERANCE,
            "request {} is {difference} off",
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
fn responses_are_those_without_a_cache_for_every_kind_of_attention() {
    for name in MODELS {
        let model = model(name);
        let greedy = Sampling::greedy();
        let responses = respond(&model, requests(8), &greedy, AMPLE).unwrap();
        assert_greedy(&model, &requests(8), &responses);
        let sampled = Sampling::temperature(1.0).seed(3);
        let expected = respond(&model, requests(8), &sampled, AMPLE).unwrap();
        assert_ne!(
            expected[4].tokens, expected[5].tokens,
            "each has its own stream"
        );
        let bounds = |rows, tokens| Bounds { rows, tokens };
        let ways = [
            // One after another.
            Way {
                bounds: bounds(1, 1 << 20),
                ..AMPLE
            },
            // Some begin while others are half done; prompts are read in small parts.
            Way {
                bounds: bounds(3, 1 << 20),
                fill: 37,
                ..AMPLE
            },
            // Memory for the longest request and little more: some go back to the queue.
            Way {
                bounds: bounds(32, 1300),
                cached_tokens: 1300,
                ..AMPLE
            },
            // The device has less than was thought.
            Way {
                cached_tokens: 1100,
                fill: 200,
                ..AMPLE
            },
        ];
        for (index, way) in ways.into_iter().enumerate() {
            let responses = respond(&model, requests(8), &sampled, way).unwrap();
            assert_eq!(tokens(&responses), tokens(&expected), "{name}, way {index}");
        }
    }
}

#[test]
fn a_response_that_does_not_fit_alone_is_an_error_and_the_others_are_kept() {
    let model = model(MODELS[0]);
    for (tokens, cached_tokens) in [(600, 600), (1 << 20, 600)] {
        let bounds = Bounds { rows: 32, tokens };
        let way = Way {
            bounds,
            cached_tokens,
            ..AMPLE
        };
        let error = respond(&model, requests(8), &Sampling::greedy(), way).unwrap_err();
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
fn a_stop_token_ends_a_response_and_is_its_last() {
    let model = model(MODELS[0]);
    let greedy = Sampling::greedy();
    let plain = respond(&model, requests(8), &greedy, AMPLE).unwrap();
    let stop = plain[0].tokens[2];
    let stopped = respond(&model, requests(8), &greedy.stop_token(stop), AMPLE).unwrap();
    let end = plain[0]
        .tokens
        .iter()
        .position(|&token| token == stop)
        .unwrap();
    assert_eq!(stopped[0].tokens, plain[0].tokens[..=end]);
    assert_eq!(stopped[0].finish, Finish::StopToken);
    let text = model.tokenizer().decode(&plain[0].tokens[..end]).unwrap();
    assert_eq!(stopped[0].text, text);
}
