//! The requests that are sent, and what the responses become.

use std::time::Duration;

use offmodel_evals::{
    LanguageModel, Teacher, UsageSummary, arithmetic_ladder, evaluate, generate_responses,
};
use offmodel_models::{Chat, FinishReason, Sampling};
use serde_json::json;

use crate::server::{Act, Server, chats, completion, finished, said, sampled};

#[test]
fn replies_come_in_the_order_of_the_chats_whatever_order_they_arrive_in() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, request| {
        let wait = Duration::from_millis(60 - 10 * number as u64);
        Act::After(wait, Box::new(said(request.prompt())))
    });
    let prompts = ["a", "b", "c", "d", "e"];
    let replies = server
        .model(&folder)
        .reply(&chats(&prompts), &sampled())
        .unwrap();
    let texts: Vec<&str> = replies.iter().map(|reply| reply.text.as_str()).collect();
    assert_eq!(texts, prompts);
}

#[test]
fn no_more_requests_are_open_than_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    // The first requests wait for each other, so that exceeding the limit would be seen.
    let server = Server::start(|_, _| {
        let slow = Act::After(Duration::from_millis(20), Box::new(said("ok")));
        Act::Crowd(3, Box::new(slow))
    });
    let prompts: Vec<Chat> = (0..12).map(|n| Chat::user(n.to_string())).collect();
    let model = server.model(&folder).concurrency(3);
    assert_eq!(model.reply(&prompts, &sampled()).unwrap().len(), 12);
    assert_eq!(server.max_open_requests(), 3);
}

#[test]
fn the_request_has_model_messages_and_sampling() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let chat = Chat::user("Hi").system("Be brief.");
    let model = server
        .model(&folder)
        .field("reasoning", json!({"effort": "low"}))
        .unwrap();
    let sampling = Sampling::temperature(0.5).top_p(0.9).max_new_tokens(7);
    model.reply(&[chat], &sampling).unwrap();
    let request = server.requests().remove(0);
    assert!(
        request
            .head
            .starts_with("POST /v1/chat/completions HTTP/1.1")
    );
    let mut body = request.body;
    assert!(body["seed"].take().is_u64());
    assert_eq!(
        body,
        json!({
            "model": "test-model",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Hi"},
            ],
            "temperature": 0.5, "max_tokens": 7, "top_p": 0.9, "seed": null,
            "reasoning": {"effort": "low"},
        })
    );
}

#[test]
fn invalid_options_are_errors_before_any_request() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let model = server.model(&folder);
    let refusal = |sampling: &Sampling| {
        let error = model.reply(&chats(&["a"]), sampling).unwrap_err();
        error.to_string()
    };
    assert!(refusal(&Sampling::temperature(f64::NAN)).contains("temperature"));
    assert!(refusal(&sampled().max_new_tokens(0)).contains("max_new_tokens"));
    assert!(refusal(&sampled().stop_token(2)).contains("stop_tokens"));
    let error = model
        .reply(&[Chat::user("a"), Chat::default()], &sampled())
        .unwrap_err();
    assert_eq!(error.to_string(), "chat 1 has no message");
    for field in ["model", "messages", "stream", "n"] {
        assert!(model.clone().field(field, 2).is_err(), "{field}");
    }
    assert_eq!(model.reply(&[], &sampled()).unwrap(), []);
    assert_eq!(server.connections(), 0);
}

/// A server that ends replies with each finish reason, depending on the prompt.
fn every_finish_reason() -> Server {
    Server::start(|_, request| match request.prompt() {
        "long" => finished("Once upon", "length"),
        "filtered" => finished("", "content_filter"),
        "withheld" => Act::Answer(
            400,
            String::new(),
            json!({"error": {"code": "content_filter", "message": "policy"}}).to_string(),
        ),
        "refused" => completion(&json!({"content": null, "refusal": "I can't."}), "stop"),
        "empty" => finished(" ", "stop"),
        "tool" => finished("", "tool_calls"),
        "thought" => completion(
            &json!({"content": "4", "reasoning_content": "2 and 2"}),
            "stop",
        ),
        prompt => said(prompt),
    })
}

const ENDINGS: [&str; 8] = [
    "long", "filtered", "withheld", "refused", "empty", "tool", "thought", "fine",
];

#[test]
fn replies_have_their_finish_reason_and_separate_reasoning() {
    let folder = tempfile::tempdir().unwrap();
    let server = every_finish_reason();
    for run in ["fresh", "from the cache"] {
        let replies = server
            .model(&folder)
            .reply(&chats(&ENDINGS), &sampled())
            .unwrap();
        let reasons: Vec<FinishReason> = replies
            .iter()
            .map(|reply| reply.finish_reason.clone())
            .collect();
        assert_eq!(
            reasons,
            [
                FinishReason::Length,
                FinishReason::ContentFilter,
                FinishReason::ContentFilter,
                FinishReason::Refusal,
                FinishReason::Empty,
                FinishReason::Other("tool_calls".to_owned()),
                FinishReason::Stop,
                FinishReason::Stop,
            ],
            "{run}"
        );
        assert_eq!(replies[6].text, "4");
        assert_eq!(replies[6].reasoning.as_deref(), Some("2 and 2"));
    }
    assert_eq!(server.requests().len(), ENDINGS.len());
}

#[test]
fn a_training_set_has_only_complete_responses_and_counts_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let server = every_finish_reason();
    let teacher = Teacher::from(server.model(&folder));
    let prompts: Vec<String> = ENDINGS.iter().map(|&prompt| prompt.to_owned()).collect();
    let sampling = sampled().seed(4);
    let taught =
        generate_responses(&teacher, &prompts, Some("Be brief."), &sampling, "nano").unwrap();
    assert_eq!(taught.responses.prompts(), ["thought", "fine"]);
    assert_eq!(taught.responses.responses(), ["4", "fine"]);
    let record = &taught.responses.records[0];
    assert_eq!(record.source, "nano");
    assert_eq!(
        (record.system.as_deref(), record.seed),
        (Some("Be brief."), Some(4))
    );
    assert_eq!(taught.dropped, 6);
    // The withheld prompt has no count of tokens.
    assert_eq!(
        taught.to_string(),
        "2 responses, 2 characters each on average, from nano\n\
         6 dropped: 2 withheld by a content filter, 1 truncated, 1 refused, 1 empty, \
         1 ended by \"tool_calls\"\n\
         8 replies, 0 of them from the cache; this run took 21 + 14 tokens; \
         1 without a count of tokens"
    );
}

#[test]
fn a_teacher_can_be_evaluated_for_the_gap() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| {
        let reason = if number == 0 { "length" } else { "stop" };
        finished("The response is 1.", reason)
    });
    let benchmark = arithmetic_ladder(2, 1);
    let evaluation = evaluate(
        &server.model(&folder).concurrency(1),
        &benchmark,
        &Sampling::greedy(),
    )
    .unwrap();
    assert_eq!(evaluation.samples.len(), benchmark.items.len());
    assert_eq!(evaluation.samples[0].tokens, 2);
    let finished = evaluation.samples.iter().map(|sample| sample.finished);
    assert_eq!(finished.filter(|finished| !finished).count(), 1);
}

#[test]
fn tokens_are_summed_for_this_run_and_over_all_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let model = server.model(&folder);
    model.reply(&chats(&["a"]), &sampled()).unwrap();
    let replies = model.reply(&chats(&["a", "b", "c"]), &sampled()).unwrap();
    let summary = UsageSummary::of(&replies);
    assert_eq!(
        (summary.replies, summary.cached, summary.unreported),
        (3, 1, 0)
    );
    assert_eq!(
        (summary.total.prompt_tokens, summary.total.completion_tokens),
        (9, 6)
    );
    assert_eq!(
        (summary.fresh.prompt_tokens, summary.fresh.completion_tokens),
        (6, 4)
    );
}

#[tokio::test]
async fn an_async_cell_can_query_a_teacher() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::echo();
    let replies = server
        .model(&folder)
        .reply(&chats(&["a"]), &sampled())
        .unwrap();
    assert_eq!(replies[0].text, "Echo: a");
}
