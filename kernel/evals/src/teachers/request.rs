//! The body of a chat completion request, and its hash.

use offmodel_models::{Chat, Sampling};
use offmodel_support::digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// One request, in the form in which the cache stores it. It does not contain the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Request {
    /// Base URL of the API.
    pub(super) endpoint: String,
    /// Numbers the samples of one body, from 0.
    pub(super) sample: u64,
    /// The JSON body that is sent.
    pub(super) body: Map<String, Value>,
}

/// The parts that all requests of a call share.
pub(super) struct RequestTemplate<'a> {
    pub(super) endpoint: &'a str,
    pub(super) model: &'a str,
    pub(super) token_limit_field: &'static str,
    pub(super) sampling: &'a Sampling,
    /// Fields set by the caller, which override all others; null removes a field.
    pub(super) fields: &'a Map<String, Value>,
}

impl RequestTemplate<'_> {
    /// Builds the request for sample number `sample` of `chat`.
    ///
    /// Greedy requests have no seed, and fields whose value means "off" are omitted, because not
    /// every server accepts every field.
    pub(super) fn request(&self, chat: &Chat, sample: u64) -> Request {
        let sampling = self.sampling;
        let mut body = Map::new();
        let mut set = |field: &str, value: Value| body.insert(field.to_owned(), value);
        set("model", self.model.into());
        set("messages", messages(chat));
        set("temperature", sampling.temperature.into());
        set(self.token_limit_field, sampling.max_new_tokens.into());
        if sampling.temperature > 0.0 {
            if sampling.top_p < 1.0 {
                set("top_p", sampling.top_p.into());
            }
            if let Some(top_k) = sampling.top_k {
                set("top_k", top_k.into());
            }
            set("seed", seed_of(sampling.seed, sample).into());
        }
        if !sampling.stop.is_empty() {
            set("stop", sampling.stop.clone().into());
        }
        for (field, value) in self.fields {
            if value.is_null() {
                body.shift_remove(field);
            } else {
                body.insert(field.clone(), value.clone());
            }
        }
        Request {
            endpoint: self.endpoint.to_owned(),
            sample,
            body,
        }
    }
}

impl Request {
    /// SHA-256 of the request in hexadecimal, independent of the order of fields: the name of its
    /// cache entry.
    pub(super) fn identity(&self) -> String {
        let whole = json!({
            "endpoint": self.endpoint,
            "sample": self.sample,
            "body": self.body,
        });
        let mut canonical = String::new();
        write_canonical(&whole, &mut canonical);
        digest::sha256(canonical)
    }
}

fn messages(chat: &Chat) -> Value {
    chat.messages
        .iter()
        .map(|message| json!({"role": message.role, "content": message.content}))
        .collect()
}

/// The seed that is sent for a sample: a hash of both numbers, in 31 bits, which every server
/// accepts. `seed + sample` would give sample 1 of seed 0 and sample 0 of seed 1 the same response.
fn seed_of(seed: u64, sample: u64) -> u32 {
    let mut hasher = Sha256::new();
    hasher.update(seed.to_le_bytes());
    hasher.update(sample.to_le_bytes());
    let digest = hasher.finalize();
    u32::from_le_bytes([digest[0], digest[1], digest[2], digest[3]]) >> 1
}

/// Writes JSON without spaces, with the fields of every object sorted by name.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            text.push('{');
            for (index, name) in names.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                *text += &Value::String(name.clone()).to_string();
                text.push(':');
                write_canonical(&fields[name], text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        other => *text += &other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn request(sampling: &Sampling, chat: &Chat, sample: u64) -> Request {
        let template = RequestTemplate {
            endpoint: "http://127.0.0.1/v1",
            model: "m",
            token_limit_field: "max_tokens",
            sampling,
            fields: &Map::new(),
        };
        template.request(chat, sample)
    }

    fn body(sampling: &Sampling) -> String {
        Value::Object(request(sampling, &Chat::user("Hi"), 0).body).to_string()
    }

    #[test]
    fn a_body_has_what_the_sampling_asks_for_and_no_more() {
        assert_eq!(
            body(&Sampling::greedy().seed(5).top_p(0.5)),
            r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":0.0,"max_tokens":512}"#
        );
        let seed = seed_of(5, 0);
        let sampling = Sampling::temperature(0.7).seed(5).top_p(0.5).top_k(3);
        assert_eq!(
            body(&sampling.stop("END")),
            format!(
                r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}],"temperature":0.7,"max_tokens":512,"top_p":0.5,"top_k":3,"seed":{seed},"stop":["END"]}}"#
            )
        );
    }

    #[test]
    fn fields_of_the_caller_replace_add_and_take_out() {
        let fields = json!({"max_tokens": null, "max_completion_tokens": 9, "temperature": 1});
        let template = RequestTemplate {
            endpoint: "e",
            model: "m",
            token_limit_field: "max_tokens",
            sampling: &Sampling::greedy(),
            fields: fields.as_object().unwrap(),
        };
        assert_eq!(
            Value::Object(template.request(&Chat::user("Hi"), 0).body).to_string(),
            r#"{"model":"m","messages":[{"role":"user","content":"Hi"}],"temperature":1,"max_completion_tokens":9}"#
        );
    }

    #[test]
    fn seeds_differ_from_sample_to_sample_and_from_seed_to_seed() {
        let seeds: HashSet<u32> = (0..30)
            .flat_map(|seed| (0..30).map(move |sample| seed_of(seed, sample)))
            .collect();
        assert_eq!(seeds.len(), 900);
        assert!(seeds.iter().all(|&seed| seed < 1 << 31));
    }

    #[test]
    fn every_part_of_a_request_is_part_of_its_identity() {
        let chat = Chat::user("Hi");
        let sampling = Sampling::temperature(1.0);
        let first = request(&sampling, &chat, 0);
        let other_endpoint = Request {
            endpoint: "http://127.0.0.1/v2".to_owned(),
            ..first.clone()
        };
        let mut other_model = first.clone();
        other_model.body.insert("model".to_owned(), "n".into());
        let variants = [
            first.clone(),
            other_endpoint,
            other_model,
            request(&sampling, &chat, 1),
            request(&sampling.clone().seed(1), &chat, 0),
            request(&sampling.clone().top_p(0.9), &chat, 0),
            request(&sampling.clone().top_k(9), &chat, 0),
            request(&sampling.clone().max_new_tokens(9), &chat, 0),
            request(&sampling.clone().stop("."), &chat, 0),
            request(&sampling.clone().stop(".").stop("!"), &chat, 0),
            request(&Sampling::temperature(0.9), &chat, 0),
            request(&sampling, &Chat::user("Hi "), 0),
            request(&sampling, &chat.clone().system("Hi"), 0),
            request(&sampling, &chat.clone().assistant("Hi"), 0),
        ];
        let identities: HashSet<String> = variants.iter().map(Request::identity).collect();
        assert_eq!(identities.len(), variants.len());
        assert_eq!(first.identity().len(), 64);
        assert_eq!(first.identity(), request(&sampling, &chat, 0).identity());
    }

    #[test]
    fn the_identity_is_the_hash_of_the_fields_in_the_order_of_their_names() {
        let request = Request {
            endpoint: "http://127.0.0.1/v1".to_owned(),
            sample: 2,
            body: Map::from_iter([
                ("temperature".to_owned(), json!(0.1)),
                ("model".to_owned(), json!("\"é\"")),
            ]),
        };
        let text = r#"{"body":{"model":"\"é\"","temperature":0.1},"endpoint":"http://127.0.0.1/v1","sample":2}"#;
        let digest = Sha256::digest(text);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(request.identity(), hex);
    }

    /// Generates arbitrary JSON values.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                prop::collection::vec((".{0,4}", inner), 0..4)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    fn backwards(value: &Value) -> Value {
        match value {
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .rev()
                    .map(|(name, value)| (name.clone(), backwards(value)))
                    .collect(),
            ),
            Value::Array(items) => items.iter().map(backwards).collect(),
            other => other.clone(),
        }
    }

    fn of(body: Value) -> Request {
        Request {
            endpoint: "e".to_owned(),
            sample: 0,
            body: Map::from_iter([("body".to_owned(), body)]),
        }
    }

    proptest! {
        #[test]
        fn the_order_of_fields_is_no_part_of_the_identity(body in value()) {
            prop_assert_eq!(of(backwards(&body)).identity(), of(body).identity());
        }

        #[test]
        fn different_bodies_have_different_identities(a in value(), b in value()) {
            // `Value` compares objects without regard to the order of their fields.
            prop_assert_eq!(a == b, of(a).identity() == of(b).identity());
        }

        #[test]
        fn a_request_survives_being_written_and_read(body in value()) {
            let request = of(body);
            let text = serde_json::to_string(&request).unwrap();
            prop_assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
        }
    }
}
