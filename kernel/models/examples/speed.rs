//! Measures tokens per second of SmolLM2 and prints one line of JSON: decoding 1 and 16 sequences
//! greedily, 16 sampled at temperature 1, 16 greedily with an adapter, and LoRA fine-tuning. Arguments
//! select some of these measurements.
//!
//! `tests/benchmarks/smollm2_speed.py` runs it in turns with `transformers`.

use std::time::Instant;

use offmodel_models::{Chat, Model, ModelError, Sampling, SftOptions, fine_tune};

/// New tokens per sequence.
const NEW_TOKENS: usize = 64;

fn main() -> Result<(), ModelError> {
    let selected: Vec<String> = std::env::args().skip(1).collect();
    let is_selected =
        |name: &str| selected.is_empty() || selected.iter().any(|other| other == name);
    let model = Model::load("smollm2")?;
    let adapted = {
        let adapter = model.untrained_adapter(&SftOptions::default().lora, 1)?;
        model.with_adapter(&adapter)?
    };
    let mut speeds = serde_json::Map::new();
    let (greedy, sampled) = (Sampling::greedy(), Sampling::temperature(1.0));
    for (name, model, batch_size, sampling) in [
        ("decode_1", &model, 1, &greedy),
        ("decode_16", &model, 16, &greedy),
        ("sample_16", &model, 16, &sampled),
        ("adapted_16", &adapted, 16, &greedy),
    ] {
        if is_selected(name) {
            speeds.insert(name.to_owned(), decode(model, batch_size, sampling)?.into());
        }
    }
    if is_selected("sft") {
        let (tokens_per_step, speed) = sft(&model)?;
        speeds.insert("sft".to_owned(), speed.into());
        speeds.insert("sft_tokens_per_step".to_owned(), tokens_per_step.into());
    }
    speeds.insert("threads".to_owned(), tch::get_num_threads().into());
    println!("{}", serde_json::Value::Object(speeds));
    Ok(())
}

/// New tokens per second of `batch_size` sequences, without the time to the first token.
fn decode(model: &Model, batch_size: usize, sampling: &Sampling) -> Result<f64, ModelError> {
    // This prompt's likeliest response is longer than NEW_TOKENS.
    let chats = vec![Chat::user("Write a short story about a lighthouse keeper."); batch_size];
    let run = |tokens: usize| {
        let started = Instant::now();
        let responses = model.generate(&chats, &sampling.clone().max_new_tokens(tokens))?;
        let tokens = responses.iter().map(|response| response.tokens.len());
        Ok::<_, ModelError>((tokens.sum::<usize>(), started.elapsed().as_secs_f64()))
    };
    let (first, all) = (run(1)?, run(NEW_TOKENS)?);
    Ok((all.0 - first.0) as f64 / (all.1 - first.1))
}

/// Tokens per step, and tokens per second, both including prompts, of training with 16 chats a step.
/// The first step is not counted.
fn sft(model: &Model) -> Result<(usize, f64), ModelError> {
    let response = "The lighthouse keeper climbed the stairs every evening to light the lamp. ";
    let chats: Vec<Chat> = (0..48)
        .map(|index| Chat::user("Write a story.").assistant(response.repeat(2 + index % 8)))
        .collect();
    let tokens = |chat: &Chat| -> Result<usize, ModelError> {
        Ok(model.tokenizer().encode(&model.render(chat, false)?)?.len())
    };
    let total = chats.iter().map(tokens).sum::<Result<usize, _>>()?;
    let tuned = fine_tune(model, &chats, &SftOptions::default())?;
    let steps = &tuned.steps[1..];
    let seconds: f64 = steps.iter().map(|step| step.seconds).sum();
    let per_step = total / tuned.steps.len();
    Ok((per_step, (per_step * steps.len()) as f64 / seconds))
}
