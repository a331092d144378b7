//! Finds the family of a model from its name.

use polars::prelude::{Column, DataFrame};

use super::StudyError;
use crate::columns::texts;

/// Prefixes of model names, and their families.
const FAMILIES: [(&str, &str); 7] = [
    ("qwen", "qwen"),
    ("llama", "llama"),
    ("meta-llama", "llama"),
    ("deepseek", "deepseek"),
    ("gemma", "gemma"),
    ("gpt", "gpt"),
    ("claude", "claude"),
];

/// The family of a model, from the start of its name after the last `/`, in lower case: `qwen` for
/// `qwen30b` and for `Qwen/Qwen3-4B-Instruct-2507`. The family of an unknown model is the leading letters
/// of its name (`smollm` for `SmolLM2-135M-Instruct`), or the whole name if it starts with another
/// character.
#[must_use]
pub fn model_family(name: &str) -> String {
    let name = name.rsplit('/').next().unwrap_or(name).to_lowercase();
    if let Some((_, family)) = FAMILIES.iter().find(|(prefix, _)| name.starts_with(prefix)) {
        return (*family).to_owned();
    }
    let letters: String = name.chars().take_while(|c| c.is_alphabetic()).collect();
    if letters.is_empty() { name } else { letters }
}

/// Adds the columns `student_family` and `teacher_family` to a frame, or replaces them, from its columns
/// `student` and `teacher`.
///
/// # Errors
/// When one of the two is missing, is not text, or has a null.
pub fn with_families(frame: &DataFrame) -> Result<DataFrame, StudyError> {
    let mut frame = frame.clone();
    for (of, family) in [("student", "student_family"), ("teacher", "teacher_family")] {
        let families: Vec<String> = texts(&frame, of)?
            .iter()
            .map(|name| model_family(name))
            .collect();
        frame.with_column(Column::new(family.into(), families))?;
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_study_and_on_the_hub_have_the_same_families() {
        for (name, family) in [
            ("qwen235b", "qwen"),
            ("Qwen/Qwen3-4B-Instruct-2507", "qwen"),
            ("llama8b", "llama"),
            ("meta-llama/Llama-3.1-8B-Instruct", "llama"),
            ("meta-llama/Meta-Llama-3-8B", "llama"),
            ("deepseek", "deepseek"),
            ("gemma_4_26b_a4b_it", "gemma"),
            ("gpt_4.1_nano", "gpt"),
            ("claude_opus_4.7", "claude"),
            ("HuggingFaceTB/SmolLM2-135M-Instruct", "smollm"),
            ("4o", "4o"),
            ("", ""),
        ] {
            assert_eq!(model_family(name), family, "{name}");
        }
    }
}
