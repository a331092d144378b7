//! The files of a saved model besides configuration and weights: tokenizer, chat templates and
//! generation settings.

use std::path::Path;

use serde_json::{Value, json};

use crate::ModelError;
use crate::atomic_folder::write_file;
use crate::chat::{DEFAULT_TEMPLATE, TemplateSources};
use crate::tokenizer::Tokenizer;

const TOKENIZER: &str = "tokenizer.json";
const TEMPLATE: &str = "chat_template.jinja";
/// The folder of further chat templates.
pub(super) const TEMPLATES_FOLDER: &str = "additional_chat_templates";
/// Files that are copied if the original model has them.
pub(super) const AUXILIARY_FILES: [&str; 10] = [
    "added_tokens.json",
    "chat_template.json",
    TEMPLATE,
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    TOKENIZER,
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
];

/// Copies the auxiliary files from the folder that a model was loaded from.
pub(crate) fn copy_auxiliary_files(from: &Path, to: &Path) -> Result<(), ModelError> {
    for name in AUXILIARY_FILES {
        // A model without a tokenizer is incomplete, so copying a missing one must fail.
        if name == TOKENIZER || from.join(name).is_file() {
            copy(&from.join(name), &to.join(name))?;
        }
    }
    let templates = from.join(TEMPLATES_FOLDER);
    if !templates.is_dir() {
        return Ok(());
    }
    create_folder(&to.join(TEMPLATES_FOLDER))?;
    let read_error = |source| ModelError::Read {
        path: templates.clone(),
        source,
    };
    for entry in std::fs::read_dir(&templates).map_err(read_error)? {
        let path = entry.map_err(read_error)?.path();
        if let (Some(name), true) = (path.file_name(), path.is_file()) {
            copy(&path, &to.join(TEMPLATES_FOLDER).join(name))?;
        }
    }
    Ok(())
}

/// Writes the auxiliary files of a model that was not loaded from a folder.
pub(crate) fn write_auxiliary_files(
    to: &Path,
    tokenizer: &Tokenizer,
    templates: &TemplateSources,
    context: usize,
) -> Result<(), ModelError> {
    let text = |token: Option<u32>| token.and_then(|token| tokenizer.id_to_token(token));
    let settings = json!({
        "bos_token": text(tokenizer.bos_token_id()),
        "clean_up_tokenization_spaces": false,
        "eos_token": text(tokenizer.eos_token_ids().first().copied()),
        "model_max_length": context,
        "tokenizer_class": "PreTrainedTokenizerFast",
    });
    let generation = json!({
        "bos_token_id": tokenizer.bos_token_id(),
        "eos_token_id": tokenizer.eos_token_ids(),
    });
    write_file(&to.join(TOKENIZER), tokenizer.to_json()?.as_bytes())?;
    write_json(&to.join("tokenizer_config.json"), &settings)?;
    write_json(&to.join("generation_config.json"), &generation)?;
    for (name, source) in templates {
        let path = match name.as_str() {
            DEFAULT_TEMPLATE => to.join(TEMPLATE),
            name => {
                let folder = to.join(TEMPLATES_FOLDER);
                if !folder.is_dir() {
                    create_folder(&folder)?;
                }
                folder.join(template_file(name)?)
            }
        };
        write_file(&path, source.as_bytes())?;
    }
    Ok(())
}

/// Writes a JSON file with the indentation that `transformers` uses.
pub(super) fn write_json(path: &Path, json: &Value) -> Result<(), ModelError> {
    write_file(path, format!("{json:#}\n").as_bytes())
}

/// The file name of a template. The template's name comes from a model file, which may be
/// malicious, so it must not contain path separators.
fn template_file(template: &str) -> Result<String, ModelError> {
    let is_safe = |character: char| character.is_alphanumeric() || "_-".contains(character);
    if template.is_empty() || !template.chars().all(is_safe) {
        return Err(ModelError::Template {
            detail: format!("{template:?} cannot be the name of a file"),
        });
    }
    Ok(format!("{template}.jinja"))
}

fn copy(from: &Path, to: &Path) -> Result<(), ModelError> {
    let content = std::fs::read(from).map_err(|source| ModelError::Read {
        path: from.to_owned(),
        source,
    })?;
    write_file(to, &content)
}

fn create_folder(folder: &Path) -> Result<(), ModelError> {
    std::fs::create_dir(folder).map_err(|source| ModelError::Write {
        path: folder.to_owned(),
        source,
    })
}
