//! What a saved model has beside configuration and weights: tokenizer, chat templates, and the
//! tokens that end a response.

use std::path::Path;

use serde_json::{Value, json};

use crate::ModelError;
use crate::atomic_folder::write_file;
use crate::chat::{DEFAULT_TEMPLATE, TemplateSources};
use crate::tokenizer::Tokenizer;

const TOKENIZER: &str = "tokenizer.json";
const TEMPLATE: &str = "chat_template.jinja";
/// The folder of further templates.
pub(super) const TEMPLATES: &str = "additional_chat_templates";
/// Files that are taken over where a model has them.
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

/// Copies them from the folder that a model came from.
pub(crate) fn copy_auxiliary_files(from: &Path, to: &Path) -> Result<(), ModelError> {
    for name in AUXILIARY_FILES {
        // Without its tokenizer a model is not complete, so its absence is an error.
        if name == TOKENIZER || from.join(name).is_file() {
            copy(&from.join(name), &to.join(name))?;
        }
    }
    let templates = from.join(TEMPLATES);
    if !templates.is_dir() {
        return Ok(());
    }
    create(&to.join(TEMPLATES))?;
    let read = |source| ModelError::Read {
        path: templates.clone(),
        source,
    };
    for entry in std::fs::read_dir(&templates).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if let (Some(name), true) = (path.file_name(), path.is_file()) {
            copy(&path, &to.join(TEMPLATES).join(name))?;
        }
    }
    Ok(())
}

/// Writes them for a model that did not come from such a folder.
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
                let folder = to.join(TEMPLATES);
                if !folder.is_dir() {
                    create(&folder)?;
                }
                folder.join(file_name(name)?)
            }
        };
        write_file(&path, source.as_bytes())?;
    }
    Ok(())
}

/// A JSON file as `transformers` lays it out.
pub(super) fn write_json(path: &Path, json: &Value) -> Result<(), ModelError> {
    write_file(path, format!("{json:#}\n").as_bytes())
}

/// The file of a template. Names come from the files of models.
fn file_name(template: &str) -> Result<String, ModelError> {
    let is_plain = |character: char| character.is_alphanumeric() || "_-".contains(character);
    match !template.is_empty() && template.chars().all(is_plain) {
        true => Ok(format!("{template}.jinja")),
        false => Err(ModelError::Template {
            detail: format!("{template:?} cannot be the name of a file"),
        }),
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), ModelError> {
    let content = std::fs::read(from).map_err(|source| ModelError::Read {
        path: from.to_owned(),
        source,
    })?;
    write_file(to, &content)
}

fn create(folder: &Path) -> Result<(), ModelError> {
    std::fs::create_dir(folder).map_err(|source| ModelError::Write {
        path: folder.to_owned(),
        source,
    })
}
