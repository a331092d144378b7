//! What a model generates: whole responses, and their text as it is generated.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One finished response to a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The text of the [prefill](crate::Prompt::prefill) with which the response was made to start.
    /// It is not repeated in `text`.
    #[serde(
        rename = "beginning",
        default,
        skip_serializing_if = "String::is_empty"
    )]
    pub prefill: String,
    /// The generated text, without special tokens. It ends before a stop string.
    pub text: String,
    /// The generated tokens. An end or stop token that ended the response is the last of them, and
    /// the tokens of a stop string are included.
    pub tokens: Vec<u32>,
    /// Natural logarithm of the probability that the model gives to each generated token: at
    /// temperature 1 and over the whole vocabulary, no matter how the token was sampled.
    pub log_probabilities: Vec<f32>,
    /// The most likely tokens at each position, most likely first. Empty unless
    /// [`Sampling::alternatives`](crate::Sampling::alternatives) asked for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Vec<Alternative>>,
    /// Why the response ended.
    #[serde(rename = "finish")]
    pub finish_reason: FinishReason,
}

impl Response {
    /// The prefill followed by the generated text.
    pub fn whole_text(&self) -> String {
        format!("{}{}", self.prefill, self.text)
    }
}

/// A token that could have been generated at some position.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Alternative {
    /// The token's id.
    pub token: u32,
    /// Natural logarithm of its probability, computed as in [`Response::log_probabilities`].
    pub log_probability: f32,
}

/// The next text of a response that is being generated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    /// The position of the prompt in the call, from 0.
    pub prompt: usize,
    /// Which of the prompt's samples this is, from 0.
    pub sample: usize,
    /// Whole characters. All deltas of a response together are its [`Response::text`].
    pub text: String,
    /// Why the response ended; present in its last delta only.
    pub finish_reason: Option<FinishReason>,
}

/// Why a response ended.
///
/// A local model ends a response in the first four ways. A model behind an API reports one of the
/// others, or `Length`: an API does not say what kind of stop it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FinishReason {
    /// The model generated its end-of-sequence token.
    EndToken,
    /// The model generated one of [`Sampling::stop_tokens`](crate::Sampling::stop_tokens).
    StopToken,
    /// The text reached one of the strings in [`Sampling::stop`](crate::Sampling::stop).
    StopString,
    /// The token limit or the end of the context was reached: the response is truncated.
    Length,
    /// The model behind an API ended its response by itself, or at a stop string.
    Stop,
    /// The provider withheld the response, or the rest of it.
    ContentFilter,
    /// The model behind an API declined, in the field that the API has for refusals.
    Refusal,
    /// The model behind an API ended without generating any text.
    Empty,
    /// Another reason, in the API's own word; `missing` if it gave none.
    Other(String),
}

impl FinishReason {
    /// Whether the model ended the response itself. Only such a response can be graded, or trained
    /// on, as the model meant it.
    pub fn is_complete(&self) -> bool {
        matches!(
            self,
            Self::EndToken | Self::StopToken | Self::StopString | Self::Stop
        )
    }
}

impl fmt::Display for FinishReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::EndToken | Self::StopToken | Self::StopString | Self::Stop => "ended",
            Self::Length => "truncated",
            Self::ContentFilter => "withheld by a content filter",
            Self::Refusal => "refused",
            Self::Empty => "empty",
            Self::Other(reason) => return write!(formatter, "ended by {reason:?}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_keeps_its_names_in_json() {
        let response = Response {
            prefill: "The sky".to_owned(),
            text: " is blue.".to_owned(),
            tokens: vec![7, 2],
            log_probabilities: vec![-0.5, -0.25],
            alternatives: vec![],
            finish_reason: FinishReason::EndToken,
        };
        let json = r#"{"beginning":"The sky","text":" is blue.","tokens":[7,2],"log_probabilities":[-0.5,-0.25],"finish":"end_token"}"#;
        assert_eq!(serde_json::to_string(&response).unwrap(), json);
        assert_eq!(serde_json::from_str::<Response>(json).unwrap(), response);
    }

    #[test]
    fn the_finish_reasons_of_apis_have_the_names_of_apis_in_json() {
        for (reason, json, is_complete) in [
            (FinishReason::Stop, r#""stop""#, true),
            (FinishReason::Length, r#""length""#, false),
            (FinishReason::ContentFilter, r#""content_filter""#, false),
            (
                FinishReason::Other("tool_calls".to_owned()),
                r#"{"other":"tool_calls"}"#,
                false,
            ),
        ] {
            assert_eq!(serde_json::to_string(&reason).unwrap(), json);
            assert_eq!(reason.is_complete(), is_complete, "{reason}");
        }
    }
}
