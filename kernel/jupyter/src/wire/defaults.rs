//! Defaults for fields that front ends leave out of requests: those of the protocol, or else of the
//! reference kernel, ipykernel.

use serde_json::{Value, json};

/// Fills in every field that is missing from `content` and has a default.
pub(crate) fn with_defaults(message_type: &str, mut content: Value) -> Value {
    let defaults = match message_type {
        "execute_request" => json!({
            "silent": false,
            "store_history": true,
            "user_expressions": {},
            "allow_stdin": false,
            "stop_on_error": true,
        }),
        "inspect_request" => json!({ "detail_level": 0 }),
        // `jupyter_client` sends a range without its end, and a search without `unique`.
        "history_request" => json!({
            "hist_access_type": "range",
            "output": false,
            "raw": true,
            "session": 0,
            "start": 0,
            "stop": i32::MAX,
            "n": i32::MAX,
            "pattern": "*",
            "unique": false,
        }),
        "shutdown_request" => json!({ "restart": false }),
        "comm_open" | "comm_msg" | "comm_close" => json!({ "data": {} }),
        _ => return content,
    };
    if let (Some(content), Value::Object(defaults)) = (content.as_object_mut(), defaults) {
        for (field, value) in defaults {
            let slot = content.entry(field).or_insert(Value::Null);
            if slot.is_null() {
                *slot = value;
            }
        }
    }
    content
}

#[cfg(test)]
mod tests {
    use jupyter_protocol::{HistoryRequest, JupyterMessageContent};

    use super::*;

    fn parse(message_type: &str, content: Value) -> JupyterMessageContent {
        let content = with_defaults(message_type, content);
        JupyterMessageContent::from_type_and_content(message_type, content).unwrap()
    }

    #[test]
    fn an_execute_request_may_consist_of_its_code() {
        let JupyterMessageContent::ExecuteRequest(request) = parse(
            "execute_request",
            json!({ "code": "1", "user_expressions": null }),
        ) else {
            panic!("expected an execute request");
        };
        assert!(!request.silent && request.store_history && request.stop_on_error);
        assert_eq!(request.user_expressions, Some(Default::default()));
    }

    #[test]
    fn a_field_that_is_given_is_kept() {
        let content = with_defaults("execute_request", json!({ "code": "1", "silent": true }));
        assert_eq!(content["silent"], true);
    }

    #[test]
    fn a_range_of_history_may_have_no_end() {
        let request = parse(
            "history_request",
            json!({ "hist_access_type": "range", "raw": true, "output": false, "session": 0, "start": 1 }),
        );
        let JupyterMessageContent::HistoryRequest(HistoryRequest::Range { stop, .. }) = request
        else {
            panic!("expected a range");
        };
        assert_eq!(stop, i32::MAX);
    }
}
