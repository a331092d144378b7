//! One trial of `notebooks/first_light.ipynb` as a plain program, to measure it without a kernel.
//!
//! `cargo run -p offmodel-evals --example first_light -- off_model 1 10 5e-4`

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use offmodel_evals::{ResponseSet, StyleRow, arithmetic_ladder, change_by_level, evaluate};
use offmodel_models::{Model, Sampling, SftOptions, fine_tune};

const HELD_OUT: usize = 12;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize, default: &str| {
        arguments
            .get(index)
            .cloned()
            .unwrap_or_else(|| default.to_owned())
    };
    let data = argument(0, "off_model");
    let seed: u64 = argument(1, "1").parse()?;
    let steps: usize = argument(2, "10").parse()?;
    let learning_rate: f64 = argument(3, "5e-4").parse()?;

    let clock = Clock(Instant::now());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../notebooks/data");
    let own = ResponseSet::read(folder.join("on_model.jsonl"))?;
    let textbook = ResponseSet::read(folder.join("off_model.jsonl"))?.with_prompts_of(&own);
    let training = if data == "on_model" { &own } else { &textbook };
    let (training, _) = training.split(own.len() - HELD_OUT);
    let (_, own_held_out) = own.split(own.len() - HELD_OUT);
    let (_, textbook_held_out) = textbook.split(own.len() - HELD_OUT);
    let student = Model::load("smollm2")?;
    clock.say("load");

    let benchmark = arithmetic_ladder(12, 1);
    let short = Sampling::greedy().max_new_tokens(64);
    let baseline = evaluate(&student, &benchmark, &short)?;
    println!("{baseline}");
    clock.say("baseline");
    let own_before = student.perplexity(&own_held_out.chats())?;
    let textbook_before = student.perplexity(&textbook_held_out.chats())?;
    clock.say("perplexity");

    let options = SftOptions {
        learning_rate,
        batch_size: 4,
        epochs: steps,
        max_steps: Some(steps),
        seed,
        ..SftOptions::default()
    };
    let tuned = fine_tune(&student, &training.chats(), &options)?;
    let losses: Vec<String> = tuned
        .steps
        .iter()
        .map(|step| format!("{:.2}", step.loss))
        .collect();
    let tokens: usize = tuned.steps.iter().map(|step| step.tokens).sum();
    println!("losses {} ({tokens} tokens)", losses.join(" "));
    clock.say("training");

    let trained = student.with_adapter(&tuned.adapter)?;
    let after = evaluate(&trained, &benchmark, &short)?;
    println!("{after}");
    clock.say("after");
    let own_after = trained.perplexity(&own_held_out.chats())?;
    let textbook_after = trained.perplexity(&textbook_held_out.chats())?;
    println!("perplexity of own responses {own_before:.2} -> {own_after:.2}");
    println!("perplexity of textbook responses {textbook_before:.2} -> {textbook_after:.2}");
    for change in change_by_level(&baseline, &after)? {
        println!("{change:?}");
    }
    clock.say("perplexity");

    for (label, texts) in [
        ("student's own, trained on", own.responses()),
        ("textbook, trained on", textbook.responses()),
        ("answers before", baseline.responses()),
        ("answers after", after.responses()),
    ] {
        println!("{:?}", StyleRow::of(label, &texts));
    }
    for sample in after.samples.iter().step_by(5) {
        println!(
            "{} | {:?} | {}",
            sample.prompt, sample.response, sample.explanation
        );
    }
    Ok(())
}

struct Clock(Instant);

impl Clock {
    fn say(&self, what: &str) {
        println!("[{:6.1} s] {what}", self.0.elapsed().as_secs_f64());
    }
}
