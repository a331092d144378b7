//! Lets a teacher response prompts and writes the responses as a set to train on.
//!
//! `cargo run -p offmodel-evals --example ask_teacher -- gpt_4.1_nano taught.jsonl "What is 2 + 2?"`
//!
//! The teacher is a local model (`smollm2`), one of the study's names (`gpt_4.1_nano`), or
//! `api:NAME`; the environment names the API (`OFFMODEL_API_BASE_URL`, `OFFMODEL_API_KEY`).

use std::error::Error;

use offmodel_evals::{Teacher, generate_responses};
use offmodel_models::Sampling;

fn main() -> Result<(), Box<dyn Error>> {
    offmodel_events::interrupt::install_handler();
    let mut arguments = std::env::args().skip(1);
    let (Some(name), Some(file)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ask_teacher TEACHER FILE PROMPT...".into());
    };
    let prompts: Vec<String> = arguments.collect();
    let teacher = Teacher::load(&name)?;
    println!("{teacher}");
    let sampling = Sampling::temperature(1.0).max_new_tokens(256);
    let taught = generate_responses(&teacher, &prompts, None, &sampling, &name)?;
    taught.responses.write(file)?;
    println!("{taught}");
    Ok(())
}
