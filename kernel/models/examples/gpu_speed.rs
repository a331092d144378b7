//! Measures tokens per second of a model in the shape of Qwen3-4B with random weights, and prints one
//! line of JSON: decoding with batches of 1 and 128, LoRA fine-tuning, and the peak rates of the
//! device.
//!
//! `tests/reference/gpu_speed.py` runs it with the libtorch of a Python environment, in turns with
//! `transformers`. With the argument `tiny` the model is so small that any CPU takes seconds.

use std::path::Path;
use std::time::Instant;

use offmodel_models::{BestDevice, Chat, LoadOptions, Model, ModelError, Precision, Sampling};
use offmodel_models::{SftOptions, fine_tune};
use tch::{Cuda, Device, Kind, Tensor};

/// The model and the amounts of work that are measured.
struct Plan {
    config: serde_json::Value,
    /// Words of a prompt.
    prompt_words: usize,
    /// New tokens of each sequence.
    new_tokens: usize,
    batches: [usize; 2],
    /// Words of a response in training.
    response_words: usize,
    /// Chats of a training step.
    chats_per_step: usize,
    /// Side of the square matrices whose product measures the peak rate.
    matrix_side: i64,
}

impl Plan {
    /// <https://huggingface.co/Qwen/Qwen3-4B-Instruct-2507/blob/main/config.json>
    fn qwen3_4b() -> Self {
        Self {
            config: serde_json::json!({
                "model_type": "qwen3", "vocab_size": 151_936, "hidden_size": 2560,
                "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32,
                "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 262_144,
                "rms_norm_eps": 1e-6, "rope_theta": 5e6, "tie_word_embeddings": true,
                "eos_token_id": 1,
            }),
            prompt_words: 128,
            new_tokens: 128,
            batches: [1, 128],
            response_words: 960,
            chats_per_step: 16,
            matrix_side: 8192,
        }
    }

    fn tiny() -> Self {
        Self {
            config: serde_json::json!({
                "model_type": "qwen3", "vocab_size": 512, "hidden_size": 32,
                "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
                "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 4096,
                "rms_norm_eps": 1e-6, "rope_theta": 1e4, "tie_word_embeddings": true,
                "eos_token_id": 1,
            }),
            prompt_words: 4,
            new_tokens: 8,
            batches: [1, 4],
            response_words: 12,
            chats_per_step: 4,
            matrix_side: 64,
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let tiny = std::env::args().nth(1).is_some_and(|shape| shape == "tiny");
    let plan = if tiny { Plan::tiny() } else { Plan::qwen3_4b() };
    let folder = std::env::temp_dir().join(format!("offmodel-gpu-speed-{}", std::process::id()));
    write_folder(&folder, &plan)?;
    let measured = measure(&plan, &folder);
    std::fs::remove_dir_all(&folder)?;
    println!("{}", measured?);
    Ok(())
}

fn measure(plan: &Plan, folder: &Path) -> Result<serde_json::Value, ModelError> {
    let device = Device::best();
    let options = LoadOptions::default()
        .device(device)
        .precision(Precision::Bf16);
    let model = Model::with_random_weights(folder, &options)?;
    let (bandwidth, peak) = (bandwidth(device)?, peak(plan, device)?);
    let weights = model.memory_bytes() as f64;
    let single = decode(&model, plan, plan.batches[0])?;
    let batched = decode(&model, plan, plan.batches[1])?;
    let trained = train(&model, plan)?;
    // Forward, and backward to the inputs: the base weights have no gradients of their own.
    let operations = 4.0 * model.parameter_count() as f64 * trained;
    Ok(serde_json::json!({
        "device": format!("{device:?}"),
        "parameters": model.parameter_count(),
        "bytes_per_second": bandwidth,
        "bf16_operations_per_second": peak,
        "batches": plan.batches,
        "decode_single": single,
        "decode_single_share_of_bandwidth": single * weights / bandwidth,
        "decode_batch": batched,
        "lora_sft": trained,
        "lora_sft_share_of_peak": operations / peak,
    }))
}

/// New tokens per second of `batch_size` sequences, without the time to the first token.
fn decode(model: &Model, plan: &Plan, batch_size: usize) -> Result<f64, ModelError> {
    let chats = vec![Chat::user(words(plan.prompt_words)); batch_size];
    let timed = |tokens: usize| {
        let started = Instant::now();
        let sampling = Sampling::greedy().max_new_tokens(tokens);
        let responses = model.generate(&chats, &sampling)?;
        let tokens: usize = responses.iter().map(|response| response.tokens.len()).sum();
        Ok::<_, ModelError>((tokens as f64, started.elapsed().as_secs_f64()))
    };
    timed(2)?;
    let (few, whole) = (timed(1)?, timed(plan.new_tokens)?);
    // Random weights may end a response early, so the tokens are counted rather than assumed.
    Ok((whole.0 - few.0) / (whole.1 - few.1))
}

/// Tokens per second, including prompts, of the training steps after the first.
fn train(model: &Model, plan: &Plan) -> Result<f64, ModelError> {
    let chat = Chat::user(words(plan.prompt_words)).assistant(words(plan.response_words));
    let tokens = model
        .tokenizer()
        .encode(&model.render(&chat, false)?)?
        .len();
    let options = SftOptions {
        batch_size: plan.chats_per_step,
        ..SftOptions::default()
    };
    let tuned = fine_tune(model, &vec![chat; 4 * plan.chats_per_step], &options)?;
    let steps = &tuned.steps[1..];
    let seconds: f64 = steps.iter().map(|step| step.seconds).sum();
    Ok((tokens * plan.chats_per_step * steps.len()) as f64 / seconds)
}

/// Bytes per second that a copy within the device reads and writes.
fn bandwidth(device: Device) -> Result<f64, ModelError> {
    let bytes = if device == Device::Cpu {
        1 << 24
    } else {
        1 << 31
    };
    let source = Tensor::f_zeros([bytes], (Kind::Uint8, device))?;
    let mut target = source.f_zeros_like()?;
    rate(device, 2.0 * bytes as f64, || Ok(target.f_copy_(&source)?))
}

/// Floating-point operations per second of a product of square matrices in bf16.
fn peak(plan: &Plan, device: Device) -> Result<f64, ModelError> {
    let matrix = Tensor::f_ones([plan.matrix_side; 2], (Kind::BFloat16, device))?;
    let operations = 2.0 * (plan.matrix_side as f64).powi(3);
    rate(device, operations, || Ok(matrix.f_mm(&matrix)?))
}

/// `amount` divided by the seconds of the fastest of ten runs.
fn rate<T>(
    device: Device,
    amount: f64,
    mut run: impl FnMut() -> Result<T, ModelError>,
) -> Result<f64, ModelError> {
    let mut best = f64::INFINITY;
    for _ in 0..10 {
        synchronize(device);
        let started = Instant::now();
        run()?;
        synchronize(device);
        best = best.min(started.elapsed().as_secs_f64());
    }
    Ok(amount / best)
}

fn synchronize(device: Device) {
    if let Device::Cuda(index) = device {
        Cuda::synchronize(index as i64);
    }
}

fn words(count: usize) -> String {
    vec!["word"; count].join(" ")
}

/// Writes a configuration, a tokenizer of five words and a chat template.
fn write_folder(folder: &Path, plan: &Plan) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let tokenizer = serde_json::json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
        "added_tokens": [{
            "id": 1, "content": "<end>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true,
        }],
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null, "decoder": null,
        "model": {
            "type": "WordLevel", "unk_token": "<unknown>",
            "vocab": {"<unknown>": 0, "<end>": 1, "word": 2, "user": 3, "assistant": 4},
        },
    });
    let template = "{% for message in messages %}{{ message.role }} {{ message.content }} <end> \
                    {% endfor %}{% if add_generation_prompt %}assistant {% endif %}";
    std::fs::write(folder.join("config.json"), plan.config.to_string())?;
    std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string())?;
    std::fs::write(folder.join("chat_template.jinja"), template)
}
