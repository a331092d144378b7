//! Rendering of small templates: Python's behaviour, limits, and how the text ends.

use chrono::DateTime;
use serde_json::{Value as Json, json};

use super::extensions::strftime;
use super::{Chat, ChatTemplate, RenderEnd, SpecialTokens, Variables};
use crate::ModelError;

fn special_tokens() -> SpecialTokens {
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
    ChatTemplate::new(source, special_tokens())?.render(
        chat,
        RenderEnd::GenerationPrompt,
        &variables,
    )
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
fn tojson_writes_what_json_dumps_writes() {
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
fn generation_blocks_do_not_change_the_text() {
    assert_renders(
        "{% for m in messages %}\n{%- generation -%}\n {{ m.content }}\n{%- endgeneration %}\n{% endfor %}",
        " hi ",
    );
}

#[test]
fn the_error_of_a_rejected_chat_has_the_template_s_message() {
    let source = "{% if messages[0].role != 'system' %}{{ raise_exception('no system message') }}{% endif %}";
    let error = render(source, &Chat::user("hi")).unwrap_err().to_string();
    assert!(error.contains("no system message"), "{error}");
}

#[test]
fn instructions_text_recursion_and_imports_are_limited() {
    let endless =
        "{% for a in range(9999) %}{% for b in range(9999) %}{{ '' }}{% endfor %}{% endfor %}";
    let error = render(endless, &Chat::user("hi")).unwrap_err().to_string();
    assert!(error.contains("fuel"), "{error}");
    let long = "{% set x = 'x' * 1000000 %}{% for a in range(99) %}{{ x }}{% endfor %}";
    let error = render(long, &Chat::user("hi")).unwrap_err().to_string();
    assert!(error.contains("more than 67108864 bytes"), "{error}");
    let deep = "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}";
    assert!(render(deep, &Chat::user("hi")).is_err());
    for import in ["{% include '/etc/passwd' %}", "{% import 'os' as os %}"] {
        assert!(render(import, &Chat::user("hi")).is_err());
    }
}

/// `minijinja` limits instructions, but not memory.
#[test]
fn a_template_that_takes_all_memory_ends_with_an_error() {
    let error_of = |body: &str| {
        let source = format!(
            "{{% set ns = namespace(s='12345678', l=[1]) %}}{{% for i in range(90) %}}{body}{{% endfor %}}done"
        );
        let error = render(&source, &Chat::user("hi")).unwrap_err();
        error.to_string()
    };
    let memory = "it needs more than 512 MB of memory, or nests too deep";
    for body in [
        // A string that doubles with every iteration, without any output.
        "{% set ns.s = ns.s ~ ns.s %}",
        "{% set ns.s = ns.s.replace('1', ns.s) %}",
        "{% set ns.s %}{{ ns.s }}{{ ns.s }}{% endset %}",
        // A list that is small in memory and long as JSON.
        "{% set ns.l = [ns.l, ns.l] %}{% if i == 80 %}{% set ns.s = ns.l | tojson %}{% endif %}",
    ] {
        let error = error_of(body);
        assert!(
            error.contains(memory) || error.contains("takes more than 10 s"),
            "{body}: {error}"
        );
    }
    // Nesting as deep as the instructions last.
    let deep = "{% for j in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}";
    let error = error_of(deep);
    assert!(error.contains(memory), "{error}");
    // This process, and other templates in it, are not affected.
    assert_renders("{{ messages[0].content }}", " hi ");
}

#[test]
fn many_chats_render_as_each_does_alone() {
    let source = "{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</s>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";
    let template = ChatTemplate::new(source, special_tokens()).unwrap();
    let chats: Vec<Chat> = (0..600)
        .map(|index| Chat::user("hi").assistant(format!(" {index} ")))
        .collect();
    let ends = [
        RenderEnd::Closed,
        RenderEnd::GenerationPrompt,
        RenderEnd::ContinueFinalMessage,
    ];
    let requests: Vec<(&Chat, RenderEnd)> = chats.iter().zip(ends.into_iter().cycle()).collect();
    let none = Variables::new();
    let texts = template.render_all(&requests, &none).unwrap();
    assert_eq!(texts.len(), 600);
    for index in [0, 1, 2, 255, 256, 599] {
        let (chat, end) = requests[index];
        assert_eq!(texts[index], template.render(chat, end, &none).unwrap());
    }
    assert_eq!(texts[2], "<user>hi</s><assistant>2");
}

#[test]
fn an_unknown_time_format_is_an_error() {
    assert!(render("{{ strftime_now('%Q!') }}", &Chat::user("hi")).is_err());
    assert_renders("{{ strftime_now('%Y')|length }}", "4");
}

#[test]
fn times_are_formatted_as_in_python() {
    let recorded = include_str!("../../../../tests/fixtures/chat_templates/strftime.json");
    let recorded: Json = serde_json::from_str(recorded).unwrap();
    let time = DateTime::parse_from_rfc3339(recorded["time"].as_str().unwrap()).unwrap();
    for (format, expected) in recorded["formats"].as_object().unwrap() {
        let found = strftime(&time, format).unwrap();
        assert_eq!(found, expected.as_str().unwrap(), "{format}");
    }
}

#[test]
fn the_text_of_a_continued_message_ends_with_the_message() {
    let chat = Chat::user("hi").assistant("The answer is ");
    let continued = |source: &str, chat: &Chat| {
        let template = ChatTemplate::new(source, special_tokens()).unwrap();
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
