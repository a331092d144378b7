//! Where the hub and its cache are, from the environment variables of `huggingface_hub`
//! (<https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables>).

use std::path::PathBuf;
use std::time::Duration;

/// How the hub is reached.
pub(crate) struct HubSettings {
    /// `HF_ENDPOINT`, without a slash at the end.
    pub(super) endpoint: String,
    /// `HF_HUB_CACHE`, or `hub` in `HF_HOME`.
    pub(crate) cache: PathBuf,
    /// `HF_TOKEN`, or the token that `hf auth login` saved.
    pub(super) token: Option<Token>,
    /// `HF_HUB_OFFLINE`
    pub(super) offline: bool,
    /// The delay before the first retry; each further delay is twice as long.
    pub(super) first_retry_delay: Duration,
}

/// A secret. It implements neither `Debug` nor `Display`, so that it cannot be shown by accident.
pub(super) struct Token(pub(super) String);

impl HubSettings {
    /// Reads the settings from the environment. An empty variable counts as unset.
    pub(crate) fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let folder = |name| variable(name).map(|path| expand_user(&path));
        let flag = |name| {
            let value = variable(name).unwrap_or_default().to_uppercase();
            ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
        };
        let default_home = || dirs::cache_dir().unwrap_or_default().join("huggingface");
        let home = folder("HF_HOME").unwrap_or_else(default_home);
        // The second name is that of older versions.
        let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
        let saved_token = || {
            if flag("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
                return None;
            }
            let path = folder("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
            std::fs::read_to_string(path).ok()
        };
        let token = variable("HF_TOKEN").or_else(saved_token);
        let token = token.map(|token| token.trim().to_owned());
        let endpoint = variable("HF_ENDPOINT");
        let endpoint = endpoint.unwrap_or_else(|| "https://huggingface.co".to_owned());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            cache: cache.unwrap_or_else(|| home.join("hub")),
            token: token.filter(|token| !token.is_empty()).map(Token),
            offline: flag("HF_HUB_OFFLINE") || flag("TRANSFORMERS_OFFLINE"),
            first_retry_delay: Duration::from_secs(1),
        }
    }

    /// The endpoint for messages, without a password that may be part of it.
    pub(super) fn public_endpoint(&self) -> String {
        match reqwest::Url::parse(&self.endpoint) {
            Ok(mut url) => {
                // Both fail only for URLs without a host, which have no user name and no password.
                let _ = url.set_username("");
                let _ = url.set_password(None);
                url.to_string().trim_end_matches('/').to_owned()
            }
            Err(_) => "HF_ENDPOINT".to_owned(),
        }
    }
}

/// Replaces `~/` at the start of a path by the user's home folder, like Python's `expanduser`.
fn expand_user(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), dirs::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(variables: &[(&str, &str)]) -> HubSettings {
        let variables: Vec<(String, String)> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        HubSettings::from_variables(|name| {
            let found = variables.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn environment_variables_mean_the_same_as_in_python() {
        let plain = settings(&[("HF_HOME", "/data/hf")]);
        assert_eq!(plain.endpoint, "https://huggingface.co");
        assert_eq!(plain.cache, PathBuf::from("/data/hf/hub"));
        assert!(!plain.offline && plain.token.is_none());
        let set = settings(&[
            ("HF_HOME", "/data/hf"),
            ("HF_HUB_CACHE", "/fast/cache"),
            ("HF_ENDPOINT", "https://mirror.example/hub/"),
            ("HF_TOKEN", " hf_secret\n"),
            ("HF_HUB_OFFLINE", "yes"),
        ]);
        assert_eq!(set.endpoint, "https://mirror.example/hub");
        assert_eq!(set.cache, PathBuf::from("/fast/cache"));
        assert_eq!(set.token.unwrap().0, "hf_secret");
        assert!(set.offline);
        let old = settings(&[("HUGGINGFACE_HUB_CACHE", "~/hub")]);
        assert_eq!(old.cache, dirs::home_dir().unwrap().join("hub"));
    }

    #[test]
    fn the_token_of_a_login_is_used_unless_that_is_disabled() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "hf_saved\n").unwrap();
        let home = home.path().to_str().unwrap();
        assert_eq!(settings(&[("HF_HOME", home)]).token.unwrap().0, "hf_saved");
        let disabled = [("HF_HOME", home), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")];
        assert!(settings(&disabled).token.is_none());
    }

    #[test]
    fn a_password_in_the_endpoint_is_not_shown() {
        let settings = settings(&[("HF_ENDPOINT", "http://user:secret@mirror.example:8080")]);
        assert_eq!(settings.public_endpoint(), "http://mirror.example:8080");
    }
}
