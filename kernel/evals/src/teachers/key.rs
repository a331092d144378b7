//! An API key, in a type that cannot show it.

use std::fmt;

use reqwest::header::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::error::TeacherError;

/// Replaces the key in text.
const HIDDEN: &str = "[key]";
/// Shortest part of the key, in characters, that is hidden in error messages: some servers repeat the
/// beginning of a key that they reject.
const MIN_HIDDEN_RUN: usize = 8;
/// Shortest key, in characters, that is hidden in responses. Local servers accept placeholders such as
/// `EMPTY`, which a response may contain legitimately.
const MIN_SECRET_LENGTH: usize = 16;

/// An API key. It has no `Display` and is never serialised, its `Debug` shows only that it exists, and
/// its memory is overwritten when it is dropped.
///
/// Take keys from the environment ([`ApiKey::from_environment`]) or from the user
/// (`password("key")?` in a notebook): a key in a cell would be saved in the notebook.
#[derive(Clone)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// Wraps `key`, without surrounding white space.
    ///
    /// # Errors
    /// If the key is empty or has characters that no key has. The error does not repeat the key.
    pub fn new(key: impl Into<String>) -> Result<Self, TeacherError> {
        let key = Zeroizing::new(key.into());
        let key = key.trim();
        let wrong = |problem| TeacherError::Key { problem };
        if key.is_empty() {
            return Err(wrong("it is empty"));
        }
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(wrong(
                "it has characters other than ASCII letters, digits and signs",
            ));
        }
        Ok(Self(SecretString::from(key)))
    }

    /// Reads the key from an environment variable.
    ///
    /// # Errors
    /// If the variable is not set or holds no key.
    pub fn from_environment(variable: &str) -> Result<Self, TeacherError> {
        match std::env::var(variable) {
            Ok(key) => Self::new(key),
            Err(_) => Err(TeacherError::NoKey {
                variable: variable.to_owned(),
            }),
        }
    }

    /// The value of the header `Authorization`, marked as sensitive so that its `Debug` hides it.
    pub(super) fn authorization(&self) -> Result<HeaderValue, TeacherError> {
        let text = Zeroizing::new(format!("Bearer {}", self.0.expose_secret()));
        let mut value = HeaderValue::from_str(&text).map_err(|_| TeacherError::Key {
            problem: "it is no value of an HTTP header",
        })?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// Removes the key, and every longer part of it in any case, from an error message.
    pub(super) fn hide_in_message(&self, text: &str) -> String {
        let key = self.0.expose_secret().as_bytes();
        let shortest = key.len().min(MIN_HIDDEN_RUN);
        let mut shown = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let run = longest_run(rest.as_bytes(), key);
            if run >= shortest {
                shown += HIDDEN;
                // The key is ASCII, so the run ends at a character boundary.
                rest = &rest[run..];
            } else {
                shown.push(character);
                rest = &rest[character.len_utf8()..];
            }
        }
        shown
    }

    /// Removes the key from the text of a response.
    pub(super) fn hide_in_response(&self, text: String) -> String {
        let key = self.0.expose_secret();
        if key.len() >= MIN_SECRET_LENGTH && text.contains(key) {
            text.replace(key, HIDDEN)
        } else {
            text
        }
    }
}

/// Length of the longest prefix of `text` that occurs in `key`, ignoring case.
fn longest_run(text: &[u8], key: &[u8]) -> usize {
    let common = |start: usize| {
        std::iter::zip(text, &key[start..])
            .take_while(|(a, b)| a.eq_ignore_ascii_case(b))
            .count()
    };
    (0..key.len()).map(common).max().unwrap_or(0)
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "sk-or-v1-0123456789abcdef";

    fn key() -> ApiKey {
        ApiKey::new(KEY).unwrap()
    }

    #[test]
    fn it_is_hidden_from_debug_also_inside_the_header() {
        assert_eq!(format!("{:?}", key()), "ApiKey(hidden)");
        assert_eq!(format!("{:#?}", key()), "ApiKey(hidden)");
        let header = key().authorization().unwrap();
        assert_eq!(format!("{header:?}"), "Sensitive");
        assert_eq!(header.to_str().unwrap(), format!("Bearer {KEY}"));
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        assert_eq!(
            ApiKey::new(" \n").unwrap_err().to_string(),
            "the API key cannot be used: it is empty"
        );
        let error = ApiKey::new("secret\r\nHost: elsewhere").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        assert!(ApiKey::new("schlüssel").is_err());
        assert!(ApiKey::new(format!(" {KEY}\n")).is_ok());
    }

    #[test]
    fn messages_lose_the_key_its_pieces_and_its_capitals() {
        let hide = |text: &str| key().hide_in_message(text);
        assert_eq!(hide(&format!("bad key {KEY}!")), "bad key [key]!");
        assert_eq!(hide("bad key sk-or-v1-0123***cdef"), "bad key [key]***cdef");
        assert_eq!(hide(&KEY.to_uppercase()), "[key]");
        assert_eq!(hide("grüße, sk-or it is"), "grüße, sk-or it is");
    }

    #[test]
    fn answers_lose_the_key_but_not_a_word_that_serves_as_one() {
        let said = format!("Your key is {KEY}.");
        assert_eq!(key().hide_in_response(said), "Your key is [key].");
        let placeholder = ApiKey::new("EMPTY").unwrap();
        let said = "EMPTY is a word".to_owned();
        assert_eq!(placeholder.hide_in_response(said.clone()), said);
    }

    proptest! {
        #[test]
        fn no_message_shows_a_key(key in "[!-~]{1,60}", before in ".{0,40}", after in ".{0,40}") {
            let hidden = ApiKey::new(key.clone()).unwrap();
            let shown = hidden.hide_in_message(&format!("{before}{key}{after}"));
            // A key of a letter or two may be part of the mark itself.
            prop_assert!(HIDDEN.contains(&key) || !shown.replace(HIDDEN, "").contains(&key));
        }
    }
}
