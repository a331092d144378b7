//! Where the files of a model hold its chat templates.

use std::collections::BTreeMap;
use std::path::Path;

use crate::ModelError;
use crate::checkpoint::read_json;
use crate::gguf::{Gguf, MetadataValue};

/// The name of the template that is used unless another one is selected.
pub(crate) const DEFAULT_TEMPLATE: &str = "default";

/// The source of each template, by its name.
pub(crate) type TemplateSources = BTreeMap<String, String>;

/// Reads the templates of a folder in Hugging Face's layout.
///
/// They are in `chat_template.jinja` and `additional_chat_templates/NAME.jinja`. Otherwise they are
/// in `tokenizer_config.json`, as one template or a list of named ones, or in `chat_template.json`,
/// which older processors have.
pub(crate) fn templates_from_folder(folder: &Path) -> Result<TemplateSources, ModelError> {
    let sources = read_jinja_files(folder)?;
    if !sources.is_empty() {
        return Ok(sources);
    }
    for file in ["tokenizer_config.json", "chat_template.json"] {
        let path = folder.join(file);
        if !path.is_file() {
            continue;
        }
        let template = &read_json(&path)?["chat_template"];
        let mut sources = TemplateSources::new();
        if let Some(source) = template.as_str() {
            sources.insert(DEFAULT_TEMPLATE.to_owned(), source.to_owned());
        }
        for named in template.as_array().into_iter().flatten() {
            if let (Some(name), Some(source)) = (named["name"].as_str(), named["template"].as_str())
            {
                sources.insert(name.to_owned(), source.to_owned());
            }
        }
        if !sources.is_empty() {
            return Ok(sources);
        }
    }
    Ok(TemplateSources::new())
}

fn read_jinja_files(folder: &Path) -> Result<TemplateSources, ModelError> {
    let mut sources = TemplateSources::new();
    let mut add = |name: &str, path: &Path| {
        let source = std::fs::read_to_string(path).map_err(|source| ModelError::Read {
            path: path.to_owned(),
            source,
        })?;
        sources.insert(name.to_owned(), source);
        Ok::<(), ModelError>(())
    };
    let path = folder.join("chat_template.jinja");
    if path.is_file() {
        add(DEFAULT_TEMPLATE, &path)?;
    }
    let additional = folder.join("additional_chat_templates");
    if additional.is_dir() {
        let failed = |source| ModelError::Read {
            path: additional.clone(),
            source,
        };
        for entry in std::fs::read_dir(&additional).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if let (Some("jinja"), Some(name)) = (
                path.extension().and_then(|extension| extension.to_str()),
                path.file_stem().and_then(|stem| stem.to_str()),
            ) {
                add(name, &path)?;
            }
        }
    }
    Ok(sources)
}

/// Reads the templates in the metadata of a GGUF file.
pub(crate) fn templates_from_gguf(file: &Gguf) -> Result<TemplateSources, ModelError> {
    const KEY: &str = "tokenizer.chat_template";
    const NAMES: &str = "tokenizer.chat_templates";
    let mut sources = TemplateSources::new();
    if let Some(MetadataValue::String(source)) = file.get(KEY) {
        sources.insert(DEFAULT_TEMPLATE.to_owned(), source.clone());
    }
    if file.get(NAMES).is_some() {
        for name in file.strings(NAMES)? {
            let source = file.string(&format!("{KEY}.{name}"))?;
            sources.insert(name.clone(), source.to_owned());
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> TemplateSources {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        templates_from_folder(folder.path()).unwrap()
    }

    fn named(names: &[(&str, &str)]) -> TemplateSources {
        let owned = |&(name, source): &(&str, &str)| (name.to_owned(), source.to_owned());
        names.iter().map(owned).collect()
    }

    #[test]
    fn jinja_files_take_precedence_over_json_files() {
        let one = ("tokenizer_config.json", r#"{"chat_template": "old"}"#);
        assert_eq!(sources(&[one]), named(&[("default", "old")]));
        let file = ("chat_template.jinja", "new");
        let tools = ("additional_chat_templates/tool_use.jinja", "tools");
        let expected = named(&[("default", "new"), ("tool_use", "tools")]);
        assert_eq!(sources(&[one, file, tools]), expected);
    }

    #[test]
    fn a_json_file_may_have_several_templates() {
        let list = r#"{"chat_template": [{"name": "default", "template": "a"}, {"name": "rag", "template": "b"}]}"#;
        let expected = named(&[("default", "a"), ("rag", "b")]);
        assert_eq!(sources(&[("tokenizer_config.json", list)]), expected);
        assert_eq!(sources(&[("chat_template.json", list)]), expected);
        assert_eq!(
            sources(&[("tokenizer_config.json", "{}")]),
            TemplateSources::new()
        );
    }
}
