//! Interrupted generation, samples, prefills and the live text, on a small random model.
//!
//! An interrupt stops all work of a process; `cargo nextest` runs each test in a process of its own.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use offmodel_events::{Event, interrupt, sink};
use offmodel_models::{
    Chat, FinishReason, Model, ModelError, Prompt, Response, Sampling, StoppedGeneration,
};

/// The parts of a response that do not depend on rounding errors, unlike its log-probabilities.
fn content(response: &Response) -> (&[u32], &str, &FinishReason) {
    (&response.tokens, &response.text, &response.finish_reason)
}

fn contents(responses: &[Response]) -> Vec<(&[u32], &str, &FinishReason)> {
    responses.iter().map(content).collect()
}

/// A small random model that `transformers` saved, with a chat template added.
fn model(folder: &Path) -> Model {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures/architectures/llama_odd_heads_tied");
    for entry in std::fs::read_dir(fixture).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let template = "{% for message in messages %}{{ message.content }}{% endfor %}";
    std::fs::write(folder.join("chat_template.jinja"), template).unwrap();
    Model::load(folder.to_str().unwrap()).unwrap()
}

#[test]
fn an_interrupted_generation_keeps_what_is_finished_and_continues() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let chats: Vec<Chat> = (2..8).map(|word| Chat::user(format!("<{word}>"))).collect();
    let sampling = Sampling::temperature(1.0).seed(5).max_new_tokens(12);
    let expected = model.generate(&chats, &sampling).unwrap();

    // Interrupted after some text has been yielded.
    let mut generation = model
        .generation(&chats, &sampling)
        .unwrap()
        .max_sequences(2);
    let mut texts = vec![String::new(); chats.len()];
    let mut finished = 0;
    for delta in &mut generation {
        let delta = delta.unwrap();
        texts[delta.prompt] += &delta.text;
        finished += usize::from(delta.finish_reason.is_some());
        if finished == 3 {
            break;
        }
    }
    interrupt::request();
    let error = generation.finish().unwrap_err();
    assert!(matches!(error, ModelError::Interrupted(_)), "{error}");
    let kept = generation.responses();
    assert!(kept.iter().flatten().count() >= 3, "{generation}");
    for (kept, expected) in kept.iter().zip(&expected) {
        assert!(
            kept.as_ref()
                .is_none_or(|kept| content(kept) == content(expected))
        );
    }
    // The iteration ends after the error, and a new iteration continues.
    let deltas: Vec<_> = generation.by_ref().collect();
    let (error, deltas) = deltas.split_last().unwrap();
    assert!(matches!(error, Err(ModelError::Interrupted(_))));
    interrupt::clear();
    let deltas = deltas.iter().map(|delta| delta.as_ref().unwrap().clone());
    let rest: Vec<_> = generation.by_ref().map(Result::unwrap).collect();
    for delta in deltas.chain(rest) {
        texts[delta.prompt] += &delta.text;
    }
    for (text, expected) in texts.iter().zip(&expected) {
        assert_eq!(text, &expected.text, "all deltas together");
    }
    assert!(generation.is_finished());
    assert_eq!(contents(&generation.finish().unwrap()), contents(&expected));
}

#[test]
fn the_error_of_an_interrupted_call_carries_its_work_and_no_other_handle_sees_it() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let chats: Vec<Chat> = (2..5).map(|word| Chat::user(format!("<{word}>"))).collect();
    let sampling = Sampling::temperature(1.0).seed(5).max_new_tokens(12);
    let other_sampling = sampling.clone().seed(6);
    let expected = model.generate(&chats, &sampling).unwrap();
    let other_expected = model.generate(&chats[..1], &other_sampling).unwrap();

    // Two clones of one handle are interrupted in calls of their own.
    let clone = model.clone();
    interrupt::request();
    let first = stopped(model.generate(&chats, &sampling));
    let second = stopped(clone.generate(&chats[..1], &other_sampling));
    interrupt::clear();
    assert!(matches!(first.cause(), ModelError::Interrupted(_)));
    assert_eq!(first.to_string(), "interrupted");
    assert_eq!(first.responses(), vec![None; 3]);
    assert_eq!(second.responses(), vec![None; 1]);

    // Each error continues its own call, in either order.
    let second = second.into_generation().finish().unwrap();
    assert_eq!(contents(&second), contents(&other_expected));
    let first = first.into_generation().finish().unwrap();
    assert_eq!(contents(&first), contents(&expected));
}

fn stopped(result: Result<Vec<Response>, ModelError>) -> Box<StoppedGeneration> {
    match result {
        Err(ModelError::Stopped(stopped)) => stopped,
        other => panic!("not stopped: {other:?}"),
    }
}

#[test]
fn samples_of_one_prompt_have_random_streams_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let chats = [Chat::user("<2>"), Chat::user("<3>")];
    let sampling = Sampling::temperature(1.0).seed(1).max_new_tokens(10);
    let samples = model.generate_samples(&chats, 5, &sampling).unwrap();
    assert_eq!(
        [samples.len(), samples[0].len(), samples[1].len()],
        [2, 5, 5]
    );
    let first = model.generate(&chats, &sampling).unwrap();
    assert_eq!(
        [content(&samples[0][0]), content(&samples[1][0])],
        [content(&first[0]), content(&first[1])]
    );
    let fewer = model.generate_samples(&chats, 2, &sampling).unwrap();
    assert_eq!(contents(&fewer[1]), contents(&samples[1][..2]));
    assert_ne!(content(&samples[0][0]), content(&samples[0][1]));
    // A single response of many, generated again alone.
    let alone = Prompt::from(&chats[1]).at_position(1);
    let alone = model
        .generation([alone], &sampling)
        .unwrap()
        .finish()
        .unwrap();
    assert_eq!(content(&alone[0]), content(&first[1]));
    // The same samples with fewer sequences in progress than samples.
    let prompts = chats.iter().map(|chat| Prompt::from(chat).samples(5));
    let mut limited = model
        .generation(prompts, &sampling)
        .unwrap()
        .max_sequences(3);
    assert_eq!(
        contents(&limited.finish().unwrap()),
        contents(&samples.concat())
    );
}

#[test]
fn a_response_continues_its_prefill() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let greedy = Sampling::greedy().max_new_tokens(8).alternatives(2);
    let whole = model
        .generate(&[Chat::user("<2>")], &greedy)
        .unwrap()
        .remove(0);
    let prompt = Prompt::new(Chat::user("<2>")).prefill_tokens(&whole.tokens[..3]);
    let rest = model
        .generation([prompt], &greedy)
        .unwrap()
        .finish()
        .unwrap()
        .remove(0);
    assert_eq!(rest.tokens[..5], whole.tokens[3..]);
    assert_eq!(
        rest.prefill,
        model.tokenizer().decode(&whole.tokens[..3]).unwrap()
    );
    assert!(rest.whole_text().starts_with(&whole.text));
    assert_eq!(rest.alternatives.len(), 8);
    assert_eq!(rest.alternatives[0][0].token, rest.tokens[0]);
    let unknown = Prompt::new(Chat::user("<2>")).prefill_tokens(&[61]);
    let error = model.generation([unknown], &greedy).unwrap_err();
    assert!(
        matches!(
            error,
            ModelError::Token {
                token: 61,
                vocabulary: 61
            }
        ),
        "{error}"
    );
    assert!(
        model
            .generation([Prompt::new(Chat::user("<2>")).samples(0)], &greedy)
            .is_err()
    );
    assert!(model.generate(&[], &greedy.stop("")).is_err());
}

#[test]
fn live_text_updates_one_display() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let events = folder.path().join("events.jsonl");
    sink::install(std::fs::File::create(&events).unwrap());
    let greedy = Sampling::greedy().max_new_tokens(6);
    let mut one = model
        .generation([Chat::user("<2>")], &greedy)
        .unwrap()
        .live();
    let response = one.finish().unwrap().remove(0);
    let prompts = [Chat::user("<2>"), Chat::user("<3>")].map(|chat| Prompt::new(chat).samples(3));
    let mut six = model.generation(prompts, &greedy).unwrap().live();
    six.finish().unwrap();

    let text = std::fs::read_to_string(&events).unwrap();
    let mut shown: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let (id, data) = match serde_json::from_str(line).unwrap() {
            Event::Display { data, display_id } => {
                let id = display_id.unwrap();
                assert!(
                    shown.iter().all(|(other, _)| *other != id),
                    "displayed once, then updated"
                );
                (id, data)
            }
            Event::UpdateDisplay { data, display_id } => (display_id, data),
            other => panic!("{other:?}"),
        };
        if id.starts_with("generation-") {
            shown.retain(|(other, _)| *other != id);
            shown.push((id, data.get("text/plain").unwrap().to_owned()));
        }
    }
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[0].1, response.text);
    let six = &shown[1].1;
    assert!(
        six.starts_with("6 of 6 responses finished\n\n[0, sample 2] <"),
        "{six}"
    );
    assert_eq!(six.matches("\n\n[").count(), 4, "the last four: {six}");
}
