//! Tokens per second of SmolLM2 as one line of JSON: decoding one row and 16 rows, and
//! LoRA fine-tuning. `tests/reference/smollm2_speed.py` runs it in turns with `transformers`.

use std::time::Instant;

use offmodel_models::{Chat, Model, ModelError, Sampling, SftOptions, fine_tune};

/// New tokens per row.
const TOKENS: usize = 64;

fn main() -> Result<(), ModelError> {
    let model = Model::load("smollm2")?;
    let decode_1 = decode(&model, 1)?;
    let decode_16 = decode(&model, 16)?;
    let (fed, sft) = sft(&model)?;
    println!(
        "{}",
        serde_json::json!({
            "decode_1": decode_1,
            "decode_16": decode_16,
            "sft": sft,
            "sft_tokens_per_step": fed,
            "threads": tch::get_num_threads(),
        })
    );
    Ok(())
}

/// New tokens per second of `rows` rows, without the time to the first token.
fn decode(model: &Model, rows: usize) -> Result<f64, ModelError> {
    // This prompt's response is longer than TOKENS.
    let chats = vec![Chat::user("Write a short story about a lighthouse keeper."); rows];
    let seconds = |tokens: usize| {
        let started = Instant::now();
        let responses = model.generate(&chats, &Sampling::greedy().max_new_tokens(tokens))?;
        assert!(
            responses
                .iter()
                .all(|response| response.tokens.len() == tokens)
        );
        Ok::<_, ModelError>(started.elapsed().as_secs_f64())
    };
    let first = seconds(1)?;
    Ok((rows * (TOKENS - 1)) as f64 / (seconds(TOKENS)? - first))
}

/// Tokens per step and per second, prompts included, of steps of 16 chats; the first step is left
/// out.
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
