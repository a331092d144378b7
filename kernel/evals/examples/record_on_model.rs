//! Writes `notebooks/data/on_model.jsonl`: the student's own responses, at temperature 1, to the
//! prompts of the off-model set; those that did not end are left out.
//!
//! `cargo run -p offmodel-evals --example record_on_model`

use std::error::Error;
use std::path::Path;

use offmodel_evals::{ResponseSet, generate_responses};
use offmodel_models::{Model, Sampling};

fn main() -> Result<(), Box<dyn Error>> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../notebooks/data");
    let prompts = ResponseSet::read(data.join("off_model.jsonl"))?.prompts();
    let student = Model::load("smollm2")?;
    let sampling = Sampling::temperature(1.0).max_new_tokens(256).seed(1);
    let generated = generate_responses(&student, &prompts, None, &sampling, student.name())?;
    generated.responses.write(data.join("on_model.jsonl"))?;
    println!("{generated}");
    Ok(())
}
