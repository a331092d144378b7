//! Writes `notebooks/data/off_model.jsonl`: the off-model responses of the first notebook.
//!
//! `cargo run -p offmodel-evals --example record_off_model`

use std::error::Error;
use std::path::Path;

use offmodel_evals::off_model;

fn main() -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../notebooks/data/off_model.jsonl");
    let set = off_model::responses(off_model::MAX_RESPONSES, 1);
    set.write(&path)?;
    println!("{set}");
    Ok(())
}
