//! Generates one response: `cargo run -p offmodel-models --example generate -- "Why is the sky blue?"`

use offmodel_models::{Chat, Model, ModelError, Sampling};

fn main() -> Result<(), ModelError> {
    let prompt = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "Why is the sky blue?".to_owned());
    let model = Model::load("smollm2")?;
    println!("{model}");
    let chats = [Chat::user(prompt)];
    for response in model.generate(&chats, &Sampling::greedy().max_new_tokens(128))? {
        let tokens = response.tokens.len();
        println!(
            "{}\n({tokens} tokens, {:?})",
            response.text, response.finish_reason
        );
    }
    Ok(())
}
