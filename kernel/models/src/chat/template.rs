//! A model's chat template, rendered as `apply_chat_template` of `transformers` does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::io;

use chrono::{DateTime, Local, TimeZone};
use minijinja::{Environment, Error, ErrorKind, Value, context};
use offmodel_events::interrupt;
use regex::Regex;
use serde_json::Value as Json;

use super::Chat;
use super::python::{self, is_space};
use super::sandbox::{self, Limits};
use crate::ModelError;

const NAME: &str = "chat";
/// Instructions that a template may execute: thousands of messages, and an end to endless loops.
const FUEL: u64 = 20_000_000;
/// Texts that are made in one process.
const TOGETHER: usize = 256;
/// Bytes that a template may write.
const LARGEST_TEXT: usize = 64 << 20;
/// What `transformers` adds to a message to find its end in the text.
const MARK: &str = "CONTINUE_FINAL_MESSAGE_TAG ";

/// A compiled template with the texts of the special tokens it may use. Templates come with models
/// from anywhere: they reach nothing but what is passed to them, and what they may do is limited.
#[derive(Debug)]
pub(crate) struct ChatTemplate {
    environment: Environment<'static>,
    special: SpecialTokens,
}

/// The texts of special tokens; absent where the tokenizer has none.
#[derive(Debug, Clone, Default)]
pub(crate) struct SpecialTokens {
    pub(crate) bos_token: Option<String>,
    pub(crate) eos_token: Option<String>,
}

/// Values of further names that templates know, such as `enable_thinking`.
pub(crate) type Variables = BTreeMap<String, Json>;

/// How the text of a chat ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RenderEnd {
    /// After the last message.
    Closed,
    /// Where the assistant's next message begins (`add_generation_prompt`).
    GenerationPrompt,
    /// Within the last message, which is to be continued (`continue_final_message`).
    ContinueFinalMessage,
}

impl ChatTemplate {
    /// Compiles `source`.
    pub(crate) fn new(source: &str, special: SpecialTokens) -> Result<Self, ModelError> {
        let mut environment = Environment::new();
        // `transformers` compiles templates with these two set.
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL));
        environment.set_formatter(python::format);
        environment.set_unknown_method_callback(python::method);
        environment.add_filter("trim", python::trim);
        environment.add_filter("tojson", python::tojson);
        environment.add_test("sequence", python::is_sequence);
        environment.add_test("iterable", python::is_iterable);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        environment
            .add_template_owned(NAME, without_generation_tags(source))
            .map_err(refused)?;
        Ok(Self {
            environment,
            special,
        })
    }

    /// The text of `chat`.
    pub(crate) fn render(
        &self,
        chat: &Chat,
        ending: RenderEnd,
        variables: &Variables,
    ) -> Result<String, ModelError> {
        let texts = self.render_all(&[(chat, ending)], variables)?;
        texts
            .into_iter()
            .next()
            .ok_or_else(|| template_error("no text"))
    }

    /// The texts of many chats, in order. The first that the template refuses is the error.
    pub(crate) fn render_all(
        &self,
        chats: &[(&Chat, RenderEnd)],
        variables: &Variables,
    ) -> Result<Vec<String>, ModelError> {
        let mut texts = Vec::with_capacity(chats.len());
        for (index, chats) in chats.chunks(TOGETHER).enumerate() {
            // Within a process the processor's time is limited.
            if index > 0 {
                interrupt::check()?;
            }
            let marked: Vec<(Cow<Chat>, RenderEnd)> = chats
                .iter()
                .map(|&(chat, ending)| (marked(chat, ending), ending))
                .collect();
            for (text, (chat, ending)) in self.texts(&marked, variables)?.into_iter().zip(chats) {
                texts.push(match ending {
                    RenderEnd::ContinueFinalMessage => continued(text?, chat)?,
                    RenderEnd::Closed | RenderEnd::GenerationPrompt => text?,
                });
            }
        }
        Ok(texts)
    }

    /// What precedes the text of the last message.
    pub(crate) fn head(&self, chat: &Chat, variables: &Variables) -> Result<String, ModelError> {
        let mark = MARK.trim_end();
        let mut marked = chat.clone();
        if let Some(last) = marked.messages.last_mut() {
            mark.clone_into(&mut last.content);
        }
        let mut text = self.render(&marked, RenderEnd::Closed, variables)?;
        let Some(end) = text.rfind(mark) else {
            return Err(template_error("the template leaves out the last message"));
        };
        text.truncate(end);
        Ok(text)
    }

    /// What the template writes, which is not trusted with this process.
    fn texts(
        &self,
        chats: &[(Cow<Chat>, RenderEnd)],
        variables: &Variables,
    ) -> Result<Vec<Result<String, ModelError>>, ModelError> {
        let texts = sandbox::texts(Limits::default(), chats.len(), |index| {
            let (chat, ending) = &chats[index];
            self.text(chat, *ending, variables)
        });
        let texts = texts.map_err(template_error)?.into_iter();
        Ok(texts.map(|text| text.map_err(template_error)).collect())
    }

    fn text(
        &self,
        chat: &Chat,
        ending: RenderEnd,
        variables: &Variables,
    ) -> Result<String, String> {
        let template = self.environment.get_template(NAME).map_err(in_words)?;
        let mut context: BTreeMap<&str, Value> = BTreeMap::new();
        // Names that `transformers` passes even where it has no value for them.
        context.insert("tools", Value::from(()));
        context.insert("documents", Value::from(()));
        let special = [
            ("bos_token", &self.special.bos_token),
            ("eos_token", &self.special.eos_token),
        ];
        for (name, text) in special {
            if let Some(text) = text {
                context.insert(name, Value::from(text.as_str()));
            }
        }
        for (name, value) in variables {
            context.insert(name, Value::from_serialize(value));
        }
        let values = context! {
            messages => chat.messages,
            add_generation_prompt => ending == RenderEnd::GenerationPrompt,
            ..Value::from_serialize(&context)
        };
        let mut text = BoundedText::default();
        match template.render_captured_to(values, &mut text) {
            Ok(_) => {}
            Err(_) if text.is_full => {
                return Err(format!(
                    "the template writes more than {LARGEST_TEXT} bytes"
                ));
            }
            Err(error) => return Err(in_words(error)),
        }
        String::from_utf8(text.bytes).map_err(|error| error.to_string())
    }
}

/// The chat, with a mark where its text is to end if the last message is to be continued.
fn marked(chat: &Chat, ending: RenderEnd) -> Cow<'_, Chat> {
    let mut chat = Cow::Borrowed(chat);
    if ending == RenderEnd::ContinueFinalMessage
        && !chat.messages.is_empty()
        && let Some(last) = chat.to_mut().messages.last_mut()
    {
        last.content.push_str(MARK);
    }
    chat
}

/// The text up to the mark at the end of the last message of `chat`.
fn continued(mut text: String, chat: &Chat) -> Result<String, ModelError> {
    let Some(last) = chat.messages.last() else {
        return Err(template_error("there is no message to continue"));
    };
    let message = last.content.trim_matches(is_space);
    let (true, Some(end)) = (text.contains(message), text.rfind(MARK.trim_end())) else {
        return Err(template_error(
            "the message to continue is not in the text of the chat: the template changes it",
        ));
    };
    let keeps_spaces = text[end..].starts_with(MARK);
    text.truncate(end);
    if !keeps_spaces {
        // The template trims messages; what the mark has protected goes too.
        text.truncate(text.trim_end_matches(is_space).len());
    }
    Ok(text)
}

/// Keeps what is written until it is too much.
#[derive(Default)]
struct BoundedText {
    bytes: Vec<u8>,
    is_full: bool,
}

impl io::Write for BoundedText {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > LARGEST_TEXT {
            self.is_full = true;
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// `transformers` adds the statement `generation`, which marks what the assistant says and changes
/// nothing of the text: a condition that always holds does the same.
fn without_generation_tags(source: &str) -> String {
    const BEGIN: &str = r"\{%([-+]?)\s*generation\s*([-+]?)%\}";
    const END: &str = r"\{%([-+]?)\s*endgeneration\s*([-+]?)%\}";
    let replaced = |source: &str, tag: &str, by: &str| match Regex::new(tag) {
        Ok(tag) => tag.replace_all(source, by).into_owned(),
        Err(_) => source.to_owned(),
    };
    let source = replaced(source, BEGIN, "{%$1 if true $2%}");
    replaced(&source, END, "{%$1 endif $2%}")
}

/// Templates call this to refuse a chat, for example when roles do not alternate.
fn raise_exception(message: String) -> Result<String, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message))
}

/// The local time in `strftime` notation.
fn strftime_now(format: String) -> Result<String, Error> {
    strftime(&Local::now(), &format)
}

fn strftime<Z: TimeZone<Offset: Display>>(
    time: &DateTime<Z>,
    format: &str,
) -> Result<String, Error> {
    let mut text = String::new();
    match write!(text, "{}", time.format(format)) {
        Ok(()) => Ok(text),
        Err(_) => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("strftime_now does not know the format {format:?}"),
        )),
    }
}

fn refused(error: Error) -> ModelError {
    template_error(in_words(error))
}

/// The alternate form adds the cause; the line is of the template.
fn in_words(error: Error) -> String {
    format!("{error:#}")
}

fn template_error(detail: impl Display) -> ModelError {
    ModelError::Template {
        detail: detail.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn special() -> SpecialTokens {
        SpecialTokens {
            bos_token: Some("<s>".to_owned()),
            eos_token: Some("</s>".to_owned()),
        }
    }

    fn render(source: &str, chat: &Chat) -> Result<String, ModelError> {
        let variables = Variables::from([
            (
                "data".to_owned(),
                json!({"b": [1, 2.5, 1e16], "a": "<é'\u{1}>", "c": {}}),
            ),
            ("flag".to_owned(), json!(true)),
        ]);
        ChatTemplate::new(source, special())?.render(chat, RenderEnd::GenerationPrompt, &variables)
    }

    #[track_caller]
    fn assert_renders(source: &str, expected: &str) {
        assert_eq!(render(source, &Chat::user(" hi ")).unwrap(), expected);
    }

    #[test]
    fn templates_use_python_methods_and_special_tokens() {
        let source = "{{ bos_token }}{% for m in messages %}{{ m['role'].upper() }}:{{ m.content.strip() }}{{ eos_token }}{% endfor %}";
        assert_renders(source, "<s>USER:hi</s>");
        assert_renders(
            "{{ 'αβγ'.find('γ') }} {{ 'a  b '.split() | length }}",
            "2 2",
        );
        assert_renders("[{{ '\u{1c}\u{a0}x\u{1f}\n' | trim }}]", "[x]");
        assert_renders(
            "{{ none }} {{ flag }} {{ 1.0 }} {{ 1e-7 }} {{ nothing }}",
            "None True 1.0 1e-07 ",
        );
        assert_renders(
            "{{ tools is defined }} {{ tools is none }} {{ 'x' is iterable }} {{ tools is iterable }}",
            "True True True False",
        );
    }

    #[test]
    fn json_is_written_as_python_writes_it() {
        assert_renders(
            "{{ data | tojson }}",
            r#"{"b": [1, 2.5, 1e+16], "a": "<é'\u0001>", "c": {}}"#,
        );
        assert_renders(
            "{{ data | tojson(indent=2, sort_keys=true) }}",
            "{\n  \"a\": \"<é'\\u0001>\",\n  \"b\": [\n    1,\n    2.5,\n    1e+16\n  ],\n  \"c\": {}\n}",
        );
        assert_renders(
            "{{ '😀é' | tojson(ensure_ascii=true) }}{{ [1, 2] | tojson(separators=(',', ':')) }}",
            r#""\ud83d\ude00\u00e9"[1,2]"#,
        );
        assert!(render("{{ nothing | tojson }}", &Chat::user("hi")).is_err());
    }

    #[test]
    fn tags_that_mark_what_the_assistant_says_change_nothing() {
        assert_renders(
            "{% for m in messages %}\n{%- generation -%}\n {{ m.content }}\n{%- endgeneration %}\n{% endfor %}",
            " hi ",
        );
    }

    #[test]
    fn a_refusal_says_why() {
        let source = "{% if messages[0].role != 'system' %}{{ raise_exception('no system message') }}{% endif %}";
        let error = render(source, &Chat::user("hi")).unwrap_err().to_string();
        assert!(error.contains("no system message"), "{error}");
    }

    #[test]
    fn what_a_template_may_do_is_limited() {
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}{{ '' }}{% endfor %}{% endfor %}";
        let error = render(endless, &Chat::user("hi")).unwrap_err().to_string();
        assert!(error.contains("fuel"), "{error}");
        let long = "{% set x = 'x' * 1000000 %}{% for a in range(99) %}{{ x }}{% endfor %}";
        let error = render(long, &Chat::user("hi")).unwrap_err().to_string();
        assert!(error.contains("more than 67108864 bytes"), "{error}");
        let deep = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
        assert!(render(deep, &Chat::user("hi")).is_err());
        for reaching in ["{% include '/etc/passwd' %}", "{% import 'os' as os %}"] {
            assert!(render(reaching, &Chat::user("hi")).is_err());
        }
    }

    /// What the template engine itself does not limit.
    #[test]
    fn a_template_that_takes_all_memory_ends_with_an_error() {
        let grows = |body: &str| {
            let source = format!(
                "{{% set ns = namespace(s='12345678', l=[1]) %}}{{% for i in range(90) %}}{body}{{% endfor %}}done"
            );
            let error = render(&source, &Chat::user("hi")).unwrap_err();
            error.to_string()
        };
        let memory = "it needs more than 512 MB of memory, or nests too deep";
        for body in [
            // Twice as long with every turn, and nothing is written.
            "{% set ns.s = ns.s ~ ns.s %}",
            "{% set ns.s = ns.s.replace('1', ns.s) %}",
            "{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}",
            // A small list that is written as a long one.
            "{% set ns.l = [ns.l, ns.l] %}{% if i == 80 %}{% set ns.s = ns.l | tojson %}{% endif %}",
        ] {
            let error = grows(body);
            assert!(
                error.contains(memory) || error.contains("takes more than 10 s"),
                "{body}: {error}"
            );
        }
        // As deep as there is fuel.
        let deep = "{% for j in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}";
        let error = grows(deep);
        assert!(error.contains(memory), "{error}");
        // The process, and other templates in it, go on.
        assert_renders("{{ messages[0].content }}", " hi ");
    }

    #[test]
    fn many_chats_are_rendered_as_each_alone() {
        let source = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
        let template = ChatTemplate::new(source, special()).unwrap();
        let chats: Vec<Chat> = (0..600)
            .map(|index| Chat::user("hi").assistant(format!(" {index} ")))
            .collect();
        let endings = [
            RenderEnd::Closed,
            RenderEnd::GenerationPrompt,
            RenderEnd::ContinueFinalMessage,
        ];
        let requests: Vec<(&Chat, RenderEnd)> =
            chats.iter().zip(endings.into_iter().cycle()).collect();
        let none = Variables::new();
        let texts = template.render_all(&requests, &none).unwrap();
        assert_eq!(texts.len(), 600);
        for index in [0, 1, 2, 255, 256, 599] {
            let (chat, ending) = requests[index];
            assert_eq!(texts[index], template.render(chat, ending, &none).unwrap());
        }
        assert_eq!(texts[2], "<user>hi</s><assistant>2");
    }

    #[test]
    fn a_bad_time_format_is_an_error() {
        assert!(render("{{ strftime_now('%Q!') }}", &Chat::user("hi")).is_err());
        assert_renders("{{ strftime_now('%Y')|length }}", "4");
    }

    #[test]
    fn times_are_written_as_python_writes_them() {
        let recorded = include_str!("../../../../tests/fixtures/chat_templates/strftime.json");
        let recorded: Json = serde_json::from_str(recorded).unwrap();
        let time = DateTime::parse_from_rfc3339(recorded["time"].as_str().unwrap()).unwrap();
        for (format, expected) in recorded["formats"].as_object().unwrap() {
            let found = strftime(&time, format).unwrap();
            assert_eq!(found, expected.as_str().unwrap(), "{format}");
        }
    }

    #[test]
    fn a_message_is_continued_where_it_ends() {
        let chat = Chat::user("hi").assistant("The answer is ");
        let continued = |source: &str, chat: &Chat| {
            let template = ChatTemplate::new(source, special()).unwrap();
            template.render(chat, RenderEnd::ContinueFinalMessage, &Variables::new())
        };
        let keeps = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}";
        assert_eq!(
            continued(keeps, &chat).unwrap(),
            "<user>hi</s><assistant>The answer is "
        );
        let trims = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</s>{% endfor %}";
        assert_eq!(
            continued(trims, &chat).unwrap(),
            "<user>hi</s><assistant>The answer is"
        );
        let drops = "{% for m in messages %}<{{ m.role }}>{% endfor %}";
        let error = continued(drops, &chat).unwrap_err().to_string();
        assert!(error.contains("the template changes it"), "{error}");
        assert!(continued(keeps, &Chat::default()).is_err());
    }

    #[test]
    fn a_template_that_does_not_compile_is_an_error() {
        assert!(matches!(
            render("{% for %}", &Chat::default()),
            Err(ModelError::Template { .. })
        ));
    }
}
