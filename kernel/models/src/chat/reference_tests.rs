//! Compares rendered chats byte for byte with those of `transformers`, which
//! `tests/reference/chat_templates.py` recorded.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;

use super::{Chat, ChatTemplate, Message, RenderEnd, SpecialTokens, Variables};

/// The folder of templates whose licences do not allow them in the repository.
const TEMPLATES_VARIABLE: &str = "OFFMODEL_TEST_TEMPLATES";

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Message>,
    ending: String,
    variables: Variables,
}

#[derive(Deserialize)]
struct Recorded {
    families: BTreeMap<String, Family>,
}

#[derive(Deserialize)]
struct Family {
    source: String,
    #[serde(rename = "beginning")]
    bos_token: Option<String>,
    #[serde(rename = "end")]
    eos_token: String,
    renderings: Vec<Rendering>,
}

/// The result of `transformers` for a conversation.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Rendering {
    Text(String),
    Error(String),
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/chat_templates")
}

fn conversations() -> Vec<Conversation> {
    let lines = std::fs::read_to_string(fixtures().join("conversations.jsonl")).unwrap();
    let lines = lines.split('\n').filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn recorded() -> Recorded {
    let compressed = std::fs::read(fixtures().join("renderings.json.gz")).unwrap();
    let mut json = String::new();
    GzDecoder::new(&*compressed)
        .read_to_string(&mut json)
        .unwrap();
    serde_json::from_str(&json).unwrap()
}

fn template(name: &str) -> Option<String> {
    let file = format!("{name}.jinja");
    let licensed = std::env::var_os(TEMPLATES_VARIABLE).map(PathBuf::from);
    let folders = [Some(fixtures()), licensed];
    let paths = folders
        .into_iter()
        .flatten()
        .map(|folder| folder.join(&file));
    let path = paths.into_iter().find(|path| path.is_file())?;
    Some(std::fs::read_to_string(path).unwrap())
}

fn render_end(name: &str) -> RenderEnd {
    match name {
        "closed" => RenderEnd::Closed,
        "generation_prompt" => RenderEnd::GenerationPrompt,
        "continued" => RenderEnd::ContinueFinalMessage,
        other => panic!("unknown end {other}"),
    }
}

#[test]
fn chats_render_byte_for_byte_as_in_transformers() {
    let conversations = conversations();
    assert!(conversations.len() >= 200);
    let mut rendered = 0;
    for (name, family) in recorded().families {
        let Some(source) = template(&name) else {
            offmodel_support::testing::skip_part(format_args!(
                "no chat template of {} (run tests/reference/chat_templates.py fetch and set {TEMPLATES_VARIABLE})",
                family.source
            ));
            continue;
        };
        let special_tokens = SpecialTokens {
            bos_token: family.bos_token,
            eos_token: Some(family.eos_token),
        };
        let template = ChatTemplate::new(&source, special_tokens).unwrap();
        assert_eq!(family.renderings.len(), conversations.len());
        for (index, (conversation, expected)) in
            conversations.iter().zip(&family.renderings).enumerate()
        {
            let chat = Chat {
                messages: conversation.messages.clone(),
            };
            let end = render_end(&conversation.ending);
            let found = template.render(&chat, end, &conversation.variables);
            match (found, expected) {
                (Ok(found), Rendering::Text(expected)) => {
                    assert_eq!(&found, expected, "{name}, conversation {index}");
                }
                (Err(_), Rendering::Error(_)) => {}
                (Ok(found), Rendering::Error(expected)) => {
                    panic!("{name}, conversation {index}: {found:?} instead of {expected}")
                }
                (Err(error), Rendering::Text(expected)) => {
                    panic!("{name}, conversation {index}: {error} instead of {expected:?}")
                }
            }
            rendered += 1;
        }
    }
    println!("{rendered} renderings equal");
    assert!(rendered >= 6 * 200);
}

#[test]
fn rendering_before_the_final_text_stops_where_the_response_starts() {
    let source = template("gemma4_31b").unwrap();
    let template = ChatTemplate::new(&source, SpecialTokens::default()).unwrap();
    let chat = Chat::user("Hi!").assistant("Hello.");
    let (none, closed) = (Variables::new(), RenderEnd::Closed);
    let before = template.render_before_final_text(&chat, &none).unwrap();
    let whole = template.render(&chat, closed, &none).unwrap();
    assert_eq!(whole.strip_prefix(&before), Some("Hello.<turn|>\n"));
    let prompt = template.render(&chat.prompt(), RenderEnd::GenerationPrompt, &none);
    assert_eq!(
        prompt.unwrap(),
        format!("{before}<|channel>thought\n<channel|>")
    );
}
