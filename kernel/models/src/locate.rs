//! Where model files are.

use std::path::{Path, PathBuf};

use crate::hub::{self, Repository, Settings};
use crate::{ModelError, aliases};

/// The folder of models if it is not in the cache folder.
const FOLDER_VARIABLE: &str = "OFFMODEL_MODELS";
/// The cache folder if it is not in the user's.
const CACHE_VARIABLE: &str = "OFFMODEL_CACHE";

/// A model that set-up fetches.
struct Known {
    name: &'static str,
    alias: &'static str,
    file: &'static str,
}

const KNOWN: [Known; 1] = [Known {
    name: "SmolLM2-135M-Instruct",
    alias: "smollm2",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
}];

/// A model file or folder, and the name to show.
#[derive(Debug)]
pub(crate) struct LocatedModel {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Whether it is to reason before it answers, where the name says so.
    pub(crate) thinking: Option<bool>,
}

/// Finds a model by its path, one of the study's names, or its name on the hub; downloads what is
/// on the hub only.
pub(crate) fn locate(name_or_path: &str) -> Result<LocatedModel, ModelError> {
    locate_with(name_or_path, &Settings::from_environment())
}

fn locate_with(name_or_path: &str, settings: &Settings) -> Result<LocatedModel, ModelError> {
    let known = |known: &&Known| {
        known.name.eq_ignore_ascii_case(name_or_path)
            || known.alias.eq_ignore_ascii_case(name_or_path)
    };
    if let Some(known) = KNOWN.iter().find(known) {
        let path = folder().join(known.file);
        let hint = || "run `cargo demo` or `offmodel-setup` to fetch it".to_owned();
        return at(name_or_path, known.name.to_owned(), path, hint);
    }
    let path = PathBuf::from(name_or_path);
    if aliases::is_behind_api(name_or_path) {
        return Err(ModelError::BehindApi {
            name: name_or_path.to_owned(),
        });
    }
    let alias = aliases::resolve(name_or_path);
    let on_hub = alias.map_or(name_or_path, |alias| alias.model);
    match Repository::parse(on_hub) {
        Some(repository) if !path.exists() => Ok(LocatedModel {
            name: last_part(&repository.name),
            path: hub::model(&repository, settings)?,
            thinking: alias.and_then(|alias| alias.thinking),
        }),
        _ => at(name_or_path, last_part(name_or_path), path, || {
            let names: Vec<&str> = aliases::names().collect();
            format!(
                "expected a .gguf file, a folder with config.json, a name of the Hugging Face hub \
                 (organisation/name), smollm2, or one of {}",
                names.join(", ")
            )
        }),
    }
}

/// What is at `path`, if it can be a model.
fn at(
    asked: &str,
    name: String,
    path: PathBuf,
    hint: impl Fn() -> String,
) -> Result<LocatedModel, ModelError> {
    if path.is_file() || path.join("config.json").is_file() {
        return Ok(LocatedModel {
            name,
            path,
            thinking: None,
        });
    }
    Err(ModelError::NotFound {
        name: asked.to_owned(),
        path,
        hint: hint(),
    })
}

/// Where set-up puts models.
fn folder() -> PathBuf {
    let set = |variable| std::env::var_os(variable).filter(|folder| !folder.is_empty());
    if let Some(folder) = set(FOLDER_VARIABLE) {
        return PathBuf::from(folder);
    }
    let cache = set(CACHE_VARIABLE).map(PathBuf::from);
    cache
        .unwrap_or_else(|| dirs::cache_dir().unwrap_or_default().join("offmodel"))
        .join("models")
}

/// The name of a file without `.gguf`, or of a folder.
fn last_part(path: &str) -> String {
    let name = Path::new(path).file_name();
    let name = name.map_or(path.into(), |name| name.to_string_lossy());
    name.strip_suffix(".gguf").unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_says_where_it_was_looked_for() {
        let error = locate("no/such/model.gguf").unwrap_err().to_string();
        assert!(
            error.contains("no/such/model.gguf") && error.contains("smollm2"),
            "{error}"
        );
        let error = locate("qwen4").unwrap_err().to_string();
        assert!(error.contains("qwen4b"), "{error}");
    }

    #[test]
    fn a_path_is_named_by_its_file() {
        let file = tempfile::Builder::new().suffix(".gguf").tempfile().unwrap();
        let located = locate(file.path().to_str().unwrap()).unwrap();
        assert_eq!(located.path, file.path());
        assert_eq!(
            located.name,
            file.path().file_stem().unwrap().to_str().unwrap()
        );
        assert_eq!(
            last_part("models/Llama-3.1-8B-Instruct"),
            "Llama-3.1-8B-Instruct"
        );
    }

    #[test]
    fn a_teacher_behind_an_api_is_refused_by_what_it_is() {
        for name in [
            "gpt_4.1_nano",
            "claude_haiku_4.5",
            "claude_opus_4.7",
            "gpt_5.5",
        ] {
            let error = locate(name).unwrap_err();
            assert!(matches!(error, ModelError::BehindApi { .. }), "{error}");
            assert!(error.to_string().contains("behind an API"), "{error}");
        }
    }
}
