//! The body of a chat completion, as different servers send it.
//!
//! Parsing is lenient where servers differ: usage may be missing, content may be a list of parts,
//! and reasoning has two names. It is strict about the content itself, which must be present and
//! text.

use offmodel_models::FinishReason;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::RequestProblem;
use super::key::ApiKey;
use super::server_text::one_line;
use super::usage::Usage;

/// Error codes with which APIs report that a content filter withheld the prompt from the model.
const FILTERED: [&str; 3] = [
    "content_filter",
    "content_policy_violation",
    "flagged_input",
];

/// One response, in the form in which the cache stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ApiResponse {
    pub(super) text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reasoning: Option<String>,
    #[serde(rename = "ending")]
    pub(super) finish_reason: FinishReason,
    /// The model that the server reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<Usage>,
}

impl ApiResponse {
    /// Parses the body of a response with a success status.
    pub(super) fn parse(body: &[u8]) -> Result<Self, RequestProblem> {
        let wrong = |detail: &str| RequestProblem::NotCompletion {
            detail: detail.to_owned(),
        };
        let body: Value =
            serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))?;
        if let Some(error) = body.get("error").filter(|error| !error.is_null()) {
            return Self::from_error(error);
        }
        let choice = body
            .get("choices")
            .and_then(Value::as_array)
            .ok_or_else(|| wrong("it has no list \"choices\""))?
            .first()
            .ok_or_else(|| wrong("\"choices\" is empty"))?;
        if let Some(error) = choice.get("error").filter(|error| !error.is_null()) {
            return Self::from_error(error);
        }
        let message = choice
            .get("message")
            .filter(|message| message.is_object())
            .ok_or_else(|| wrong("the choice has no object \"message\""))?;
        let content = match message.get("content") {
            None => None,
            Some(content) => text_of(content)
                .ok_or_else(|| wrong("\"content\" is neither text nor a list of parts"))?,
        };
        let nonempty = |field: &str| {
            let text = message.get(field).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let refusal = nonempty("refusal");
        let finish = choice.get("finish_reason").and_then(Value::as_str);
        let text = content.unwrap_or_default();
        Ok(Self {
            finish_reason: finish_reason(finish, refusal.is_some(), &text),
            text: refusal.unwrap_or(text),
            reasoning: nonempty("reasoning_content").or_else(|| nonempty("reasoning")),
            model: body.get("model").and_then(Value::as_str).map(one_line),
            usage: body.get("usage").and_then(usage),
        })
    }

    /// The response for a prompt that a content filter withheld from the model.
    pub(super) fn filtered() -> Self {
        Self {
            text: String::new(),
            reasoning: None,
            finish_reason: FinishReason::ContentFilter,
            model: None,
            usage: None,
        }
    }

    /// Removes the key from the response, in case the server repeats it.
    pub(super) fn without_key(mut self, key: Option<&ApiKey>) -> Self {
        if let Some(key) = key {
            self.text = key.hide_in_response(self.text);
            self.reasoning = self.reasoning.map(|text| key.hide_in_response(text));
            self.model = self.model.map(|text| key.hide_in_response(text));
            if let FinishReason::Other(reason) = self.finish_reason {
                self.finish_reason = FinishReason::Other(key.hide_in_response(reason));
            }
        }
        self
    }

    fn from_error(error: &Value) -> Result<Self, RequestProblem> {
        if is_filtered(error) {
            return Ok(Self::filtered());
        }
        let code = error.get("code").and_then(Value::as_u64);
        Err(RequestProblem::ErrorResponse {
            code: code.and_then(|code| u16::try_from(code).ok()),
            message: message_of(error),
        })
    }
}

/// Extracts the message from the body of an error.
pub(super) fn error_message(body: &[u8]) -> String {
    match serde_json::from_slice::<Value>(body) {
        Ok(body) => message_of(body.get("error").unwrap_or(&body)),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}

/// Whether the body of an error reports that a content filter withheld the prompt.
pub(super) fn is_filter_error(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body)
        .is_ok_and(|body| is_filtered(body.get("error").unwrap_or(&body)))
}

/// The machine-readable code in the body of an error, if there is one.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error")?;
    ["code", "type"]
        .iter()
        .find_map(|field| error.get(field).and_then(Value::as_str))
        .map(str::to_owned)
}

fn is_filtered(error: &Value) -> bool {
    let word = |field: &str| error.get(field).and_then(Value::as_str).unwrap_or_default();
    FILTERED.contains(&word("code"))
        || FILTERED.contains(&word("type"))
        // OpenRouter's moderation reports it here.
        || error.pointer("/metadata/flagged_input").is_some()
}

fn message_of(error: &Value) -> String {
    let field = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    error
        .as_str()
        .map(str::to_owned)
        .or_else(|| field("message"))
        .or_else(|| field("detail"))
        .unwrap_or_else(|| error.to_string())
}

/// The text of a message's content: `Some(None)` if it is null, `None` if it is not text.
fn text_of(content: &Value) -> Option<Option<String>> {
    match content {
        Value::Null => Some(None),
        Value::String(text) => Some(Some(text.clone())),
        Value::Array(parts) => parts.iter().map(part).collect::<Option<String>>().map(Some),
        _ => None,
    }
}

/// The text of one part. Parts of other types (thinking, images) contribute nothing.
fn part(part: &Value) -> Option<&str> {
    match part {
        Value::String(text) => Some(text),
        Value::Object(fields) => match fields.get("type").and_then(Value::as_str) {
            None | Some("text" | "output_text") => fields.get("text")?.as_str(),
            Some(_) => Some(""),
        },
        _ => None,
    }
}

fn finish_reason(finish: Option<&str>, refused: bool, text: &str) -> FinishReason {
    match finish {
        Some("length" | "max_tokens") => FinishReason::Length,
        Some("content_filter") => FinishReason::ContentFilter,
        Some("refusal") => FinishReason::Refusal,
        _ if refused => FinishReason::Refusal,
        Some("stop" | "end_turn" | "eos" | "stop_sequence") if text.trim().is_empty() => {
            FinishReason::Empty
        }
        Some("stop" | "end_turn" | "eos" | "stop_sequence") => FinishReason::Stop,
        Some(other) => FinishReason::Other(one_line(other)),
        None => FinishReason::Other("missing".to_owned()),
    }
}

/// The reported tokens. None if the server reports none; values that are no counts are ignored.
fn usage(usage: &Value) -> Option<Usage> {
    let count = |path: &str| usage.pointer(path).and_then(Value::as_u64);
    let (prompt, completion) = (count("/prompt_tokens"), count("/completion_tokens"));
    if prompt.is_none() && completion.is_none() {
        return None;
    }
    let cost = usage.get("cost").and_then(Value::as_f64);
    Some(Usage {
        prompt_tokens: prompt.unwrap_or(0),
        completion_tokens: completion.unwrap_or(0),
        reasoning_tokens: count("/completion_tokens_details/reasoning_tokens").unwrap_or(0),
        cost: cost.filter(|&cost| cost >= 0.0).unwrap_or(0.0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn parse(body: &Value) -> Result<ApiResponse, RequestProblem> {
        ApiResponse::parse(body.to_string().as_bytes())
    }

    fn message(message: Value, finish: &str) -> ApiResponse {
        parse(&json!({"choices": [{"message": message, "finish_reason": finish}]})).unwrap()
    }

    fn error_text(body: &Value) -> String {
        parse(body).unwrap_err().to_string()
    }

    #[test]
    fn a_usual_answer_is_read_whole() {
        let response = parse(&json!({
            "id": "x", "object": "chat.completion", "model": "gpt-4.1-nano-2025",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": "Paris", "refusal": null},
                "finish_reason": "stop",
            }],
            "usage": {
                "prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15,
                "completion_tokens_details": {"reasoning_tokens": 1}, "cost": 0.25,
            },
        }))
        .unwrap();
        let usage = Usage {
            prompt_tokens: 12,
            completion_tokens: 3,
            reasoning_tokens: 1,
            cost: 0.25,
        };
        assert_eq!(
            response,
            ApiResponse {
                text: "Paris".to_owned(),
                reasoning: None,
                finish_reason: FinishReason::Stop,
                model: Some("gpt-4.1-nano-2025".to_owned()),
                usage: Some(usage),
            }
        );
    }

    #[test]
    fn content_may_be_a_list_of_parts() {
        let parts = json!({"content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
            {"type": "text", "text": "Pa"},
            "ris",
        ]});
        assert_eq!(message(parts, "stop").text, "Paris");
    }

    #[test]
    fn reasoning_is_kept_apart_under_both_of_its_names() {
        for name in ["reasoning_content", "reasoning"] {
            let response = message(json!({"content": "4", name: "2 and 2"}), "stop");
            assert_eq!(response.text, "4");
            assert_eq!(response.reasoning.as_deref(), Some("2 and 2"));
        }
    }

    #[test]
    fn every_ending_is_told_apart() {
        let ending = |content: Value, finish: &str| message(content, finish).finish_reason;
        let text = || json!({"content": "a"});
        assert_eq!(ending(text(), "stop"), FinishReason::Stop);
        assert_eq!(ending(text(), "length"), FinishReason::Length);
        assert_eq!(
            ending(text(), "content_filter"),
            FinishReason::ContentFilter
        );
        assert_eq!(
            ending(json!({"content": " \n"}), "stop"),
            FinishReason::Empty
        );
        assert_eq!(
            ending(json!({"content": null}), "stop"),
            FinishReason::Empty
        );
        assert_eq!(ending(json!({}), "length"), FinishReason::Length);
        assert_eq!(
            ending(text(), "tool_calls"),
            FinishReason::Other("tool_calls".to_owned())
        );
        let refused = message(json!({"content": null, "refusal": "I can't"}), "stop");
        assert_eq!(
            (refused.finish_reason, refused.text),
            (FinishReason::Refusal, "I can't".to_owned())
        );
        let silent = parse(&json!({"choices": [{"message": {"content": "a"}}]})).unwrap();
        assert_eq!(
            silent.finish_reason,
            FinishReason::Other("missing".to_owned())
        );
    }

    #[test]
    fn usage_may_be_missing_or_nonsense() {
        let with = |usage: Value| {
            let choice = json!({"message": {"content": "a"}, "finish_reason": "stop"});
            parse(&json!({"choices": [choice], "usage": usage}))
                .unwrap()
                .usage
        };
        assert_eq!(with(Value::Null), None);
        assert_eq!(with(json!("many")), None);
        assert_eq!(with(json!({"prompt_tokens": -1})), None);
        let some = with(json!({"prompt_tokens": 2, "completion_tokens": "x", "cost": -3})).unwrap();
        assert_eq!(
            (some.prompt_tokens, some.completion_tokens, some.cost),
            (2, 0, 0.0)
        );
    }

    #[test]
    fn what_is_no_completion_says_why() {
        assert!(ApiResponse::parse(b"<html>").is_err());
        assert!(error_text(&json!([])).contains("no list \"choices\""));
        assert!(error_text(&json!({"choices": []})).contains("is empty"));
        assert!(error_text(&json!({"choices": [{"text": "a"}]})).contains("\"message\""));
        let number = json!({"choices": [{"message": {"content": 4}}]});
        assert!(error_text(&number).contains("neither text nor a list"));
        let deep = "[".repeat(100_000);
        assert!(ApiResponse::parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn an_error_inside_a_success_is_an_error() {
        let error = json!({"code": 429, "message": "slow down"});
        let found = parse(&json!({"error": error})).unwrap_err();
        assert_eq!(
            found,
            RequestProblem::ErrorResponse {
                code: Some(429),
                message: "slow down".to_owned()
            }
        );
        let found = parse(&json!({"choices": [{"error": {"code": 502, "message": "upstream"}}]}));
        assert!(found.unwrap_err().to_string().contains("upstream"));
    }

    #[test]
    fn a_prompt_that_was_withheld_is_marked() {
        for error in [
            json!({"code": "content_filter", "message": "policy"}),
            json!({"code": 403, "metadata": {"flagged_input": "x", "reasons": ["violence"]}}),
        ] {
            let body = json!({"error": error});
            assert_eq!(
                parse(&body).unwrap().finish_reason,
                FinishReason::ContentFilter
            );
            assert!(is_filter_error(body.to_string().as_bytes()));
        }
        assert!(!is_filter_error(b"content_filter"));
    }

    #[test]
    fn error_messages_are_found_in_the_forms_that_servers_use() {
        let message = |body: &str| error_message(body.as_bytes());
        assert_eq!(message(r#"{"error":{"message":"no"}}"#), "no");
        assert_eq!(message(r#"{"error":"no"}"#), "no");
        assert_eq!(message(r#"{"detail":"no"}"#), "no");
        assert_eq!(message(r#"{"object":"error","message":"no"}"#), "no");
        assert_eq!(message("<b>no</b>"), "<b>no</b>");
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_says_panics(body in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = ApiResponse::parse(&body);
            let _ = error_message(&body);
            let _ = is_filter_error(&body);
        }

        #[test]
        fn an_answer_survives_being_kept(text in ".{0,40}", finish in "[a-z_]{0,12}") {
            let response = message(json!({"content": text, "reasoning": text}), &finish);
            let kept = serde_json::to_string(&response).unwrap();
            prop_assert_eq!(serde_json::from_str::<ApiResponse>(&kept).unwrap(), response);
        }
    }
}
