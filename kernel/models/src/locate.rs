//! Where model files are.

use std::path::{Path, PathBuf};

use crate::ModelError;

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

/// A model file and the name to show.
#[derive(Debug)]
pub(crate) struct Located {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// Finds a model by its name, its alias, or the path of its file.
pub(crate) fn locate(name_or_path: &str) -> Result<Located, ModelError> {
    let known = |known: &&Known| {
        known.name.eq_ignore_ascii_case(name_or_path)
            || known.alias.eq_ignore_ascii_case(name_or_path)
    };
    let (located, hint) = match KNOWN.iter().find(known) {
        Some(known) => (
            Located {
                name: known.name.to_owned(),
                path: folder().join(known.file),
            },
            "run `cargo demo` or `offmodel-setup` to fetch it",
        ),
        None => (
            Located {
                name: stem(name_or_path),
                path: PathBuf::from(name_or_path),
            },
            "expected the path of a .gguf file, or smollm2",
        ),
    };
    if located.path.is_file() {
        Ok(located)
    } else {
        Err(ModelError::NotFound {
            name: name_or_path.to_owned(),
            path: located.path,
            hint,
        })
    }
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

fn stem(path: &str) -> String {
    let stem = Path::new(path).file_stem();
    stem.map_or_else(
        || path.to_owned(),
        |stem| stem.to_string_lossy().into_owned(),
    )
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
    }
}
