//! The trait that local models and models behind an API share.

use std::fmt;

use offmodel_models::{Chat, FinishReason, Model, Response, Sampling};
use serde::{Deserialize, Serialize};

use crate::EvalError;
use crate::teachers::Usage;

/// A model that responds to chats: one held in memory ([`Model`]), one behind an API
/// ([`ApiModel`](crate::ApiModel)), or either of them by name ([`Teacher`](crate::Teacher)).
///
/// Evaluation and data generation accept any of the three, so that a student's teacher changes in
/// one line.
pub trait LanguageModel {
    /// The model's name, for records and tables.
    fn name(&self) -> &str;

    /// Generates one reply to each chat, in order.
    ///
    /// # Errors
    /// If generation fails for a chat, or is interrupted.
    fn reply(&self, chats: &[Chat], sampling: &Sampling) -> Result<Vec<Reply>, EvalError>;
}

/// A response of any language model, with how it ended and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The response, without reasoning that the API reports separately.
    pub text: String,
    /// The reasoning before the response, if the API reports it separately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
    /// Why the response ended.
    #[serde(rename = "ending")]
    pub finish_reason: FinishReason,
    /// The number of tokens, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Whether the reply comes from the cache on disk, so that this run did not pay for it.
    #[serde(default)]
    pub cached: bool,
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
            finish_reason: response.finish_reason,
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
        write!(f, "{}", self.finish_reason)?;
        if self.cached {
            f.write_str(", from the cache")?;
        }
        f.write_str("]")
    }
}
