//! Finds the files of a model by its path or name.

use std::path::{Path, PathBuf};

use offmodel_support::environment;

use crate::hub::{self, HubSettings, Repo};
use crate::{ModelError, aliases};

/// A model that set-up downloads to the folder for models.
struct PreparedModel {
    name: &'static str,
    alias: &'static str,
    file: &'static str,
}

const PREPARED_MODELS: [PreparedModel; 1] = [PreparedModel {
    name: "SmolLM2-135M-Instruct",
    alias: "smollm2",
    file: "SmolLM2-135M-Instruct.Q4_1.gguf",
}];

/// A model's file or folder, and the name to show.
#[derive(Debug)]
pub(crate) struct LocatedModel {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Whether the model reasons before it answers, if the alias decides that.
    pub(crate) thinking: Option<bool>,
}

/// Finds a model by its path, an alias of the study, or its name on the hub. A model that is only on
/// the hub is downloaded.
pub(crate) fn locate(name_or_path: &str) -> Result<LocatedModel, ModelError> {
    locate_with(name_or_path, &HubSettings::from_environment())
}

fn locate_with(name_or_path: &str, settings: &HubSettings) -> Result<LocatedModel, ModelError> {
    let is_named = |model: &&PreparedModel| {
        model.name.eq_ignore_ascii_case(name_or_path)
            || model.alias.eq_ignore_ascii_case(name_or_path)
    };
    if let Some(model) = PREPARED_MODELS.iter().find(is_named) {
        let folder = environment::models_folder().unwrap_or_default();
        let hint = || "run `cargo demo` or `offmodel-setup` to download it".to_owned();
        return existing(
            name_or_path,
            model.name.to_owned(),
            folder.join(model.file),
            hint,
        );
    }
    if aliases::is_behind_api(name_or_path) {
        return Err(ModelError::BehindApi {
            name: name_or_path.to_owned(),
        });
    }
    let path = PathBuf::from(name_or_path);
    let alias = aliases::resolve(name_or_path);
    let repo_id = alias.map_or(name_or_path, |alias| alias.repo_id);
    match Repo::parse(repo_id) {
        Some(repo) if !path.exists() => Ok(LocatedModel {
            name: display_name(&repo.id),
            path: hub::snapshot_download(&repo, settings)?,
            thinking: alias.and_then(|alias| alias.thinking),
        }),
        _ => existing(name_or_path, display_name(name_or_path), path, || {
            let names: Vec<&str> = aliases::names().collect();
            format!(
                "expected a .gguf file, a folder with config.json, a name on the Hugging Face hub \
                 (organisation/name), smollm2, or one of {}",
                names.join(", ")
            )
        }),
    }
}

/// The model at `path`, or an error with `hint` if there is none.
fn existing(
    name_or_path: &str,
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
        name: name_or_path.to_owned(),
        path,
        hint: hint(),
    })
}

/// The last component of a path or repository id, without `.gguf`.
fn display_name(path: &str) -> String {
    let name = Path::new(path).file_name();
    let name = name.map_or(path.into(), |name| name.to_string_lossy());
    name.strip_suffix(".gguf").unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_missing_model_says_where_it_was_expected() {
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
            display_name("models/Llama-3.1-8B-Instruct"),
            "Llama-3.1-8B-Instruct"
        );
    }

    #[test]
    fn a_teacher_behind_an_api_is_refused_with_the_reason() {
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
