//! The study's names for models behind an API.

use offmodel_support::environment;

use super::error::TeacherError;

/// The teachers of the study's appendix 5 without public weights, and their names at OpenRouter:
/// provider and model.
const STUDY: [(&str, &str); 4] = [
    ("gpt_4.1_nano", "openai/gpt-4.1-nano"),
    ("claude_haiku_4.5", "anthropic/claude-haiku-4.5"),
    ("claude_opus_4.7", "anthropic/claude-opus-4.7"),
    ("gpt_5.5", "openai/gpt-5.5"),
];

/// The name that an API on `host` has for the model called `name` here; none if `name` is no alias.
pub(super) fn resolve(name: &str, host: &str) -> Result<Option<String>, TeacherError> {
    let own = std::env::var(environment::API_MODELS).unwrap_or_default();
    resolve_with(name, host, &own)
}

/// Whether `name` is an alias of a model behind an API.
pub(super) fn is_alias(name: &str) -> Result<bool, TeacherError> {
    Ok(resolve(name, "")?.is_some())
}

fn resolve_with(name: &str, host: &str, own: &str) -> Result<Option<String>, TeacherError> {
    for part in own.split(',').filter(|part| !part.trim().is_empty()) {
        let pair = part.split_once('=').map(|(a, b)| (a.trim(), b.trim()));
        match pair {
            Some((alias, model)) if !alias.is_empty() && !model.is_empty() => {
                if alias == name {
                    return Ok(Some(model.to_owned()));
                }
            }
            _ => {
                return Err(TeacherError::Aliases {
                    found: part.trim().to_owned(),
                });
            }
        }
    }
    let known = STUDY.iter().find(|(alias, _)| *alias == name);
    Ok(known.map(|(_, model)| {
        // OpenAI's own API names its models without the provider.
        let bare = (host == "api.openai.com").then(|| model.strip_prefix("openai/"));
        bare.flatten().unwrap_or(model).to_owned()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_study_are_models_of_openrouter() {
        let resolve = |name| resolve_with(name, "openrouter.ai", "").unwrap();
        assert_eq!(
            resolve("gpt_4.1_nano").as_deref(),
            Some("openai/gpt-4.1-nano")
        );
        assert_eq!(
            resolve("claude_opus_4.7").as_deref(),
            Some("anthropic/claude-opus-4.7")
        );
        assert_eq!(resolve("smollm2"), None);
    }

    #[test]
    fn openai_itself_has_its_models_without_the_provider() {
        let resolve = |name| resolve_with(name, "api.openai.com", "").unwrap();
        assert_eq!(resolve("gpt_5.5").as_deref(), Some("gpt-5.5"));
        assert_eq!(
            resolve("claude_haiku_4.5").as_deref(),
            Some("anthropic/claude-haiku-4.5")
        );
    }

    #[test]
    fn the_environment_overrides_and_adds() {
        let own = "gpt_5.5=mirror/gpt, mine = local-7b ,";
        let resolve = |name| resolve_with(name, "host", own).unwrap();
        assert_eq!(resolve("gpt_5.5").as_deref(), Some("mirror/gpt"));
        assert_eq!(resolve("mine").as_deref(), Some("local-7b"));
        let error = resolve_with("x", "host", "a=b,nonsense").unwrap_err();
        assert_eq!(
            error.to_string(),
            "failed to read OFFMODEL_API_MODELS: expected NAME=MODEL, found \"nonsense\""
        );
    }
}
