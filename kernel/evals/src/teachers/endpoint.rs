//! The address of an API and its key.

use std::fmt;
use std::net::IpAddr;

use offmodel_support::environment::{
    API_BASE_URL as BASE_URL, API_KEY as KEY, API_PLAIN_HTTP as PLAIN_HTTP,
};
use reqwest::Url;

use super::error::TeacherError;
use super::key::ApiKey;

/// For each provider: the variables that its users have set already, and its usual base URL.
const PROVIDERS: [(&str, &str, &str); 2] = [
    (
        "OPENAI_BASE_URL",
        "OPENAI_API_KEY",
        "https://api.openai.com/v1",
    ),
    (
        "OPENROUTER_BASE_URL",
        "OPENROUTER_API_KEY",
        "https://openrouter.ai/api/v1",
    ),
];

/// The base URL of an API that implements OpenAI's chat completions, and the key for it.
///
/// Plain HTTP is meant for servers on this machine (`localhost`, `127.0.0.0/8`, `::1`), to which
/// requests never go through a proxy. To other hosts a key is not sent over plain HTTP unless that
/// is [allowed](Self::allow_plain_http), and requests go through the proxy in the environment
/// (`HTTPS_PROXY`, `NO_PROXY`).
#[derive(Debug, Clone)]
pub struct Endpoint {
    base: Url,
    key: Option<ApiKey>,
    plain_http: bool,
}

impl Endpoint {
    /// Creates an endpoint at a base URL, for example `http://127.0.0.1:8000/v1`, without a key.
    ///
    /// # Errors
    /// If the URL is not `http` or `https`, or has a user name, a password, a query or a fragment.
    pub fn new(base_url: &str) -> Result<Self, TeacherError> {
        let wrong = |problem: String| TeacherError::BaseUrl { problem };
        let base = Url::parse(base_url.trim()).map_err(|error| wrong(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(wrong("it begins with neither http:// nor https://".into()));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong(
                "it has a user name or password in it; keys are given apart".into(),
            ));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(wrong("it has a query (?) or a fragment (#)".into()));
        }
        Ok(Self {
            base,
            key: None,
            plain_http: false,
        })
    }

    /// Creates the endpoint that the environment names: `OFFMODEL_API_BASE_URL` with
    /// `OFFMODEL_API_KEY` (which may be unset), otherwise `OPENAI_API_KEY` with `OPENAI_BASE_URL` or
    /// OpenAI's own API, otherwise `OPENROUTER_API_KEY` with OpenRouter. A key is only sent to the
    /// base URL of its own pair. `OFFMODEL_API_PLAIN_HTTP=1` allows plain HTTP.
    ///
    /// # Errors
    /// If the environment names no endpoint, or one that cannot be used.
    pub fn from_environment() -> Result<Self, TeacherError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(value: impl Fn(&str) -> Option<String>) -> Result<Self, TeacherError> {
        let set = |name: &str| value(name).filter(|value| !value.trim().is_empty());
        let (base, key) = if let Some(base) = set(BASE_URL) {
            (base, set(KEY))
        } else {
            PROVIDERS
                .iter()
                .find_map(|&(base, key, usual)| {
                    let (base, key) = (set(base), set(key));
                    let named = base.is_some() || key.is_some();
                    named.then(|| (base.unwrap_or_else(|| usual.to_owned()), key))
                })
                .ok_or(TeacherError::NoEndpoint)?
        };
        let mut endpoint = Self::new(&base)?;
        if let Some(key) = key {
            endpoint = endpoint.key(ApiKey::new(key)?);
        }
        if set(PLAIN_HTTP).is_some_and(|value| value.trim() == "1") {
            endpoint = endpoint.allow_plain_http();
        }
        endpoint.check()?;
        Ok(endpoint)
    }

    /// Sets the key that is sent with every request.
    #[must_use]
    pub fn key(mut self, key: ApiKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Allows the key to be sent unencrypted to another machine, for example in a trusted network.
    #[must_use]
    pub fn allow_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// The base URL without a trailing slash.
    pub fn base_url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Fails if requests would reveal the key to others.
    pub(super) fn check(&self) -> Result<(), TeacherError> {
        let readable = self.is_plain_http() && !self.is_loopback() && !self.plain_http;
        if readable && self.key.is_some() {
            return Err(TeacherError::PlainHttp {
                host: self.host().to_owned(),
            });
        }
        Ok(())
    }

    pub(super) fn api_key(&self) -> Option<&ApiKey> {
        self.key.as_ref()
    }

    pub(super) fn chat_completions(&self) -> String {
        format!("{}/chat/completions", self.base_url())
    }

    pub(super) fn host(&self) -> &str {
        self.base.host_str().unwrap_or_default()
    }

    pub(super) fn is_plain_http(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// Whether the server is on this machine.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.host();
        let address = host.trim_start_matches('[').trim_end_matches(']');
        match address.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        }
    }

    /// The field that limits the tokens of a reply. OpenAI's newer models reject the old name, which
    /// every other server knows.
    pub(super) fn token_limit_field(&self) -> &'static str {
        if self.host() == "api.openai.com" {
            "max_completion_tokens"
        } else {
            "max_tokens"
        }
    }

    /// Removes the key from a text of the server.
    pub(super) fn hide_key(&self, text: &str) -> String {
        match &self.key {
            Some(key) => key.hide_in_message(text),
            None => text.to_owned(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = if self.key.is_some() {
            "with a key"
        } else {
            "without a key"
        };
        write!(f, "{} {key}", self.base_url())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "sk-0123456789abcdefghij";

    fn from(variables: &[(&str, &str)]) -> Result<Endpoint, TeacherError> {
        Endpoint::from_variables(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn shown(variables: &[(&str, &str)]) -> String {
        from(variables).unwrap().to_string()
    }

    #[test]
    fn the_environment_names_base_url_and_key() {
        assert_eq!(
            shown(&[
                (BASE_URL, "http://127.0.0.1:8000/v1/"),
                ("OPENAI_API_KEY", SECRET)
            ]),
            "http://127.0.0.1:8000/v1 without a key"
        );
        assert_eq!(
            shown(&[(BASE_URL, "https://example.org/v1"), (KEY, SECRET)]),
            "https://example.org/v1 with a key"
        );
        assert_eq!(
            shown(&[("OPENAI_API_KEY", SECRET), ("OPENROUTER_API_KEY", SECRET)]),
            "https://api.openai.com/v1 with a key"
        );
        assert_eq!(
            shown(&[("OPENAI_BASE_URL", "http://[::1]:1/v1"), (KEY, SECRET)]),
            "http://[::1]:1/v1 without a key"
        );
        assert_eq!(
            shown(&[(BASE_URL, " "), ("OPENROUTER_API_KEY", SECRET)]),
            "https://openrouter.ai/api/v1 with a key"
        );
        assert!(matches!(
            from(&[(KEY, SECRET)]),
            Err(TeacherError::NoEndpoint)
        ));
    }

    #[test]
    fn a_key_travels_unencrypted_only_on_this_machine_or_when_allowed() {
        let remote = [(BASE_URL, "http://gpu7.example.org:8000/v1"), (KEY, SECRET)];
        let error = from(&remote).unwrap_err().to_string();
        assert!(
            error.starts_with("refused to send the API key to gpu7.example.org over plain HTTP"),
            "{error}"
        );
        assert!(from(&remote[..1]).is_ok());
        assert!(from(&[remote[0], remote[1], (PLAIN_HTTP, "1")]).is_ok());
        for host in [
            "localhost",
            "127.0.0.1",
            "127.8.8.8",
            "[::1]",
            "a.localhost",
        ] {
            let base = format!("http://{host}:8000/v1");
            assert!(from(&[(BASE_URL, &base), (KEY, SECRET)]).is_ok(), "{host}");
        }
        for host in [
            "localhost.example.org",
            "10.0.0.1",
            "[::2]",
            "127.0.0.1.example.org",
        ] {
            let base = format!("http://{host}:8000/v1");
            assert!(from(&[(BASE_URL, &base), (KEY, SECRET)]).is_err(), "{host}");
        }
    }

    #[test]
    fn a_base_url_with_anything_secret_in_it_is_refused_and_not_repeated() {
        for base in [
            format!("https://user:{SECRET}@example.org/v1"),
            format!("https://{SECRET}@example.org/v1"),
            format!("https://example.org/v1?key={SECRET}"),
            format!("https://example.org/v1#{SECRET}"),
            format!("ftp://{SECRET}/"),
            SECRET.to_owned(),
        ] {
            let error = Endpoint::new(&base).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(SECRET), "{error}");
        }
    }

    #[test]
    fn it_shows_no_key() {
        let endpoint = Endpoint::new("https://example.org/v1").unwrap();
        let endpoint = endpoint.key(ApiKey::new(SECRET).unwrap());
        let shown = format!("{endpoint} {endpoint:?} {endpoint:#?}");
        assert!(!shown.contains("sk-0"), "{shown}");
    }
}
