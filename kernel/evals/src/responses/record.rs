use offmodel_models::Chat;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::LineProblem;

/// Format version of written records; a record without the field has version 1.
const VERSION: u64 = 1;

/// One response to one chat prompt, as one line of a response set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseRecord {
    /// The user message.
    pub prompt: String,
    /// The response; may be empty, because a model may generate its end token first.
    pub response: String,
    /// Name of the model or generator that wrote the response.
    pub source: String,
    /// The system prompt under which the response was generated, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<String>,
    /// The sampling seed, if the response was sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

impl ResponseRecord {
    /// Creates a record without system prompt and seed.
    pub fn new(
        prompt: impl Into<String>,
        response: impl Into<String>,
        source: impl Into<String>,
    ) -> Self {
        Self {
            prompt: prompt.into(),
            response: response.into(),
            source: source.into(),
            system: None,
            seed: None,
        }
    }

    /// The whole conversation, with the response as its last message: to train on or to score.
    pub fn chat(&self) -> Chat {
        self.prompt_chat().assistant(self.response.clone())
    }

    /// The conversation before the response.
    pub fn prompt_chat(&self) -> Chat {
        let chat = Chat::user(self.prompt.clone());
        match &self.system {
            Some(system) => chat.system(system.clone()),
            None => chat,
        }
    }

    /// Parses one line. Unknown fields are ignored, so that records may carry more.
    pub(super) fn parse(line: &[u8]) -> Result<Self, LineProblem> {
        let text = std::str::from_utf8(line).map_err(|error| LineProblem::NotText {
            at: error.valid_up_to(),
        })?;
        if text.trim().is_empty() {
            return Err(LineProblem::Empty);
        }
        let fields = match serde_json::from_str(text).map_err(LineProblem::NotJson)? {
            Value::Object(fields) => fields,
            other => {
                return Err(LineProblem::NotAnObject {
                    found: kind(&other),
                });
            }
        };
        let version = optional_integer(&fields, "version")?.unwrap_or(VERSION);
        if version > VERSION {
            return Err(LineProblem::Version {
                found: version,
                supported: VERSION,
            });
        }
        let prompt = required_text(&fields, "prompt")?;
        if prompt.trim().is_empty() {
            return Err(LineProblem::BlankPrompt);
        }
        Ok(Self {
            prompt,
            response: required_text(&fields, "response")?,
            source: required_text(&fields, "source")?,
            system: optional_text(&fields, "system")?,
            seed: optional_integer(&fields, "seed")?,
        })
    }

    /// Serialises the record as one line of JSON, without a line break.
    pub(super) fn to_line(&self) -> String {
        let mut fields = Map::new();
        fields.insert("version".to_owned(), VERSION.into());
        fields.insert("prompt".to_owned(), self.prompt.clone().into());
        fields.insert("response".to_owned(), self.response.clone().into());
        fields.insert("source".to_owned(), self.source.clone().into());
        if let Some(system) = &self.system {
            fields.insert("system".to_owned(), system.clone().into());
        }
        if let Some(seed) = self.seed {
            fields.insert("seed".to_owned(), seed.into());
        }
        Value::Object(fields).to_string()
    }
}

fn required_text(fields: &Map<String, Value>, field: &'static str) -> Result<String, LineProblem> {
    optional_text(fields, field)?.ok_or_else(|| LineProblem::MissingField {
        field,
        known: fields
            .keys()
            .take(20)
            .map(|name| name.chars().take(40).collect())
            .collect(),
    })
}

fn optional_text(
    fields: &Map<String, Value>,
    field: &'static str,
) -> Result<Option<String>, LineProblem> {
    match fields.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(other) => Err(LineProblem::WrongType {
            field,
            expected: "a text",
            found: kind(other),
        }),
    }
}

fn optional_integer(
    fields: &Map<String, Value>,
    field: &'static str,
) -> Result<Option<u64>, LineProblem> {
    match fields.get(field) {
        None => Ok(None),
        Some(value) => value.as_u64().map(Some).ok_or(LineProblem::WrongType {
            field,
            expected: "a whole number of 0 or more",
            found: kind(value),
        }),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
