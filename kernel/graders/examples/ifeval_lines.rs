//! Grades JSON lines with `instruction_id_list`, `kwargs` and `response`, and prints one line of
//! verdicts for each: `{"strict": [...], "loose": [...]}`. With `--texts`, prints instead what the
//! graders find in each text: sentences, words in capital letters, words and language.

use std::io::{BufRead, Write};

use offmodel_graders::ifeval::{Instruction, grade};
use offmodel_graders::python::characters::is_upper;
use offmodel_graders::text::{sentences::count_sentences, words::words};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let texts = std::env::args().any(|argument| argument == "--texts");
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let line: Value = serde_json::from_str(&line?)?;
        let response = line["response"].as_str().ok_or("no response")?;
        let verdicts = if texts {
            let words = words(response);
            let capital = words.iter().filter(|word| is_upper(word)).count();
            let language =
                Instruction::read("language:response_language", &json!({"language": "xx"}))?;
            let found = grade(&[language], response).strict.remove(0).explanation;
            json!({"sentences": count_sentences(response), "capital": capital, "words": words,
                "language": found.split('`').nth(1)})
        } else {
            let ids: Vec<String> = serde_json::from_value(line["instruction_id_list"].clone())?;
            let kwargs: Vec<Value> = serde_json::from_value(line["kwargs"].clone())?;
            let graded = grade(&Instruction::read_all(&ids, &kwargs)?, response);
            let strict: Vec<bool> = graded.strict.iter().map(|check| check.followed).collect();
            json!({"strict": strict, "loose": graded.loose})
        };
        writeln!(output, "{verdicts}")?;
    }
    Ok(())
}
