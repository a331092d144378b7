//! What answers chats, wherever it runs.

use std::fmt;

use offmodel_models::{Chat, Model, Response, Sampling};
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::teachers::Usage;

/// A model that answers chats: one held in memory ([`Model`]), one behind an API
/// ([`ApiModel`](crate::ApiModel)), or either of them by name ([`Teacher`](crate::Teacher)).
///
/// What asks a model takes any of the three, so that a student's teacher changes in one line.
pub trait LanguageModel {
    /// The model's name, for records and tables.
    fn name(&self) -> &str;

    /// Answers every chat, in order.
    ///
    /// # Errors
    /// When a chat cannot be answered, or the work is interrupted.
    fn reply(&self, chats: &[Chat], sampling: &Sampling) -> Result<Vec<Reply>, EvalError>;
}

/// What a language model answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The answer.
    pub text: String,
    /// What the model thought before it answered, where its API tells the two apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Why it ended.
    pub ending: Ending,
    /// The tokens that it took, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Whether it was kept from an earlier run, so that nothing was paid for it now.
    #[serde(default)]
    pub cached: bool,
}

/// Why a reply ended. Only [`Ending::Stop`] is an answer to learn from or to grade as meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Ending {
    /// The model ended its answer, or said what it was to stop at.
    Stop,
    /// The limit of tokens or the end of the context was reached: the answer is truncated.
    Length,
    /// The provider withheld the answer, or the rest of it.
    ContentFilter,
    /// The model declined, in the field that its API has for that; the text is what it said.
    Refusal,
    /// The model behind an API ended without a word of answer.
    Empty,
    /// Something else, in the API's own words; `missing` where it did not say.
    Other(String),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stop => "ended",
            Self::Length => "truncated",
            Self::ContentFilter => "withheld by a content filter",
            Self::Refusal => "refused",
            Self::Empty => "empty",
            Self::Other(reason) => return write!(f, "ended by {reason:?}"),
        })
    }
}

impl LanguageModel for Model {
    fn name(&self) -> &str {
        Model::name(self)
    }

    fn reply(&self, chats: &[Chat], sampling: &Sampling) -> Result<Vec<Reply>, EvalError> {
        let responses = self.generate(chats, sampling)?;
        Ok(responses.into_iter().map(Reply::from).collect())
    }
}

impl From<Response> for Reply {
    fn from(response: Response) -> Self {
        Self {
            usage: Some(Usage {
                completion_tokens: response.tokens.len() as u64,
                ..Usage::default()
            }),
            text: response.text,
            reasoning: None,
            ending: if response.finish_reason.is_complete() {
                Ending::Stop
            } else {
                Ending::Length
            },
            cached: false,
        }
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n[", self.text)?;
        if let Some(usage) = &self.usage {
            write!(f, "{} tokens, ", usage.completion_tokens)?;
        }
        write!(f, "{}", self.ending)?;
        if self.cached {
            f.write_str(", from the cache")?;
        }
        f.write_str("]")
    }
}
