//! Generated responses and log-probabilities.

use offmodel_models::{Chat, FinishReason, Message, Prompt, Response, Sampling};
use serde_json::Value as Json;
use tch::{Kind, Tensor};

use crate::reference::{distance, fixture, integers, integers_of_rows, numbers, smollm2};

/// How far a logit or log-probability may be from the reference.
const LOGIT_TOLERANCE: f64 = 1e-3;

#[test]
fn greedy_responses_and_their_logits_equal_those_of_transformers() {
    let Some(model) = smollm2() else { return };
    let fixture = fixture("smollm2_greedy.json");
    let prompts = fixture["prompts"].as_array().unwrap();
    assert_eq!(prompts.len(), 20);
    let chats: Vec<Chat> = prompts
        .iter()
        .map(|case| Chat::user(case["prompt"].as_str().unwrap()))
        .collect();
    // All in one batch, whose rows have different lengths and positions.
    let responses = model
        .generate(&chats, &Sampling::greedy().max_new_tokens(64))
        .unwrap();

    let mut largest_distance: f64 = 0.0;
    for ((case, chat), response) in prompts.iter().zip(&chats).zip(&responses) {
        let rendered = model.render(chat, true).unwrap();
        assert_eq!(rendered, case["rendered"].as_str().unwrap());
        let prompt = model.tokenizer().encode(&rendered).unwrap();
        assert_eq!(prompt, integers(&case["tokens"]), "{rendered}");
        let generated = integers(&case["generated"]);
        assert_eq!(
            (response.tokens.as_slice(), generated.len()),
            (generated.as_slice(), 64)
        );
        assert_eq!(response.text, case["text"].as_str().unwrap());

        // The logits of the whole text in one forward pass, without a cache.
        let input = [prompt.as_slice(), &generated[..63]].concat();
        let logits = model
            .logits(&input)
            .unwrap()
            .narrow(0, prompt.len() as i64 - 1, 64);
        let tokens: Vec<i64> = integers_of_rows(&case["top_tokens"])
            .into_iter()
            .map(i64::from)
            .collect();
        let found = logits.gather(-1, &Tensor::from_slice(&tokens).view([64, -1]), false);
        largest_distance = largest_distance.max(distance(&found, &case["top_logits"]));
        let ends = logits.index_select(0, &Tensor::from_slice(&[0_i64, 63]));
        let sampled = ends.slice(1, 0, None, 1024);
        largest_distance = largest_distance.max(distance(&sampled, &case["sampled_logits"]));
        let norms = ends
            .to_kind(Kind::Double)
            .norm_scalaropt_dim(2, [-1], false);
        assert!(
            distance(&norms, &case["norms"]) < 1e-2,
            "norms of {rendered}"
        );

        let by_logits = logits.log_softmax(-1, Kind::Float).gather(
            -1,
            &Tensor::from_slice(&generated.iter().map(|&t| i64::from(t)).collect::<Vec<_>>())
                .view([64, 1]),
            false,
        );
        let by_generation = Tensor::from_slice(&response.log_probabilities).view([64, 1]);
        let difference = (by_logits - by_generation).abs().max().double_value(&[]);
        assert!(
            difference < LOGIT_TOLERANCE,
            "cached and uncached differ by {difference}"
        );
    }
    println!("largest distance of a logit from transformers: {largest_distance:.2e}");
    assert!(
        largest_distance < LOGIT_TOLERANCE,
        "a logit is {largest_distance} from the reference"
    );
}

#[test]
fn log_probabilities_of_a_response_equal_those_of_transformers() {
    let Some(model) = smollm2() else { return };
    let fixture = fixture("smollm2_greedy.json");
    let mut sum = 0.0;
    let mut chats = Vec::new();
    for case in fixture["conversations"].as_array().unwrap() {
        let messages: Vec<Message> = serde_json::from_value(case["messages"].clone()).unwrap();
        let chat = Chat { messages };
        assert_eq!(
            model.render(&chat, false).unwrap(),
            case["rendered"].as_str().unwrap()
        );
        let scores = model.log_probabilities(&chat).unwrap();
        let reference = numbers(&case["log_probabilities"]);
        // One for each token of the response, including its end token.
        assert_eq!(scores.len(), reference.len());
        for (score, reference) in scores.iter().zip(&reference) {
            let distance = (f64::from(*score) - reference).abs();
            assert!(distance < LOGIT_TOLERANCE, "{score} instead of {reference}");
        }
        sum += reference.iter().sum::<f64>() / 2.0;
        chats.push((chat, reference));
    }
    let tokens: usize = chats.iter().map(|(_, reference)| reference.len()).sum();
    let chats: Vec<Chat> = chats.into_iter().map(|(chat, _)| chat).collect();
    let perplexity = model.perplexity(&chats).unwrap();
    let reference = (-2.0 * sum / tokens as f64).exp();
    assert!(
        (perplexity / reference - 1.0).abs() < 1e-3,
        "{perplexity} instead of {reference}"
    );
}

#[test]
fn a_response_does_not_depend_on_what_else_is_in_the_batch() {
    let Some(model) = smollm2() else { return };
    let prompts = [
        "Hi!",
        "Name a colour.",
        "What is 2 + 2?",
        "Tell me a long story about rain.",
    ];
    let chats: Vec<Chat> = prompts.into_iter().map(Chat::user).collect();
    let greedy = Sampling::greedy().max_new_tokens(40);
    let together = model.generate(&chats, &greedy).unwrap();
    for (chat, response) in chats.iter().zip(&together) {
        let alone = model
            .generate(std::slice::from_ref(chat), &greedy)
            .unwrap()
            .remove(0);
        assert_eq!(
            (&alone.text, &alone.tokens),
            (&response.text, &response.tokens)
        );
    }
    // More requests than sequences in progress: some are admitted while others are half done.
    let many: Vec<Chat> = chats.iter().cycle().take(37).cloned().collect();
    let responses = model.generate(&many, &greedy).unwrap();
    for (response, expected) in responses.iter().zip(together.iter().cycle()) {
        assert_eq!(response.tokens, expected.tokens);
    }
    assert!(
        together
            .iter()
            .any(|response| response.finish_reason == FinishReason::EndToken)
    );
    assert!(
        together
            .iter()
            .any(|response| response.finish_reason == FinishReason::Length)
    );
}

#[test]
fn a_seed_gives_the_same_responses() {
    let Some(model) = smollm2() else { return };
    let chats = vec![Chat::user("Write one sentence about the sea."); 3];
    let sampling = Sampling::temperature(1.0).seed(7).max_new_tokens(24);
    let tokens = |chats: &[Chat], sampling: &Sampling| -> Vec<Vec<u32>> {
        let responses = model.generate(chats, sampling).unwrap();
        responses
            .into_iter()
            .map(|response: Response| response.tokens)
            .collect()
    };
    let first = tokens(&chats, &sampling);
    assert_eq!(first, tokens(&chats, &sampling));
    assert_eq!(
        first[..1],
        tokens(&chats[..1], &sampling),
        "request 0 alone"
    );
    assert_ne!(
        first[0], first[1],
        "requests have random streams of their own"
    );
    assert_ne!(first, tokens(&chats, &sampling.clone().seed(8)));
    let greedy = tokens(&chats[..1], &Sampling::greedy().max_new_tokens(24));
    assert_eq!(tokens(&chats[..1], &sampling.top_k(1)), greedy);
}

#[test]
fn samples_prefills_and_stop_strings_do_not_change_the_text_of_transformers() {
    let Some(model) = smollm2() else { return };
    let fixture = fixture("smollm2_greedy.json");
    let cases = &fixture["prompts"].as_array().unwrap()[..6];
    let (count, generated) = (12, |case: &Json| integers(&case["generated"]));
    // The stop string is the text of tokens 8 and 9 of the first response.
    let tokenizer = model.tokenizer();
    let stop = tokenizer.decode(&generated(&cases[0])[8..10]).unwrap();
    // In one batch: two samples of each prompt, and responses whose prefill is the start of the
    // recorded response, as tokens and as text.
    let chat = |case: &Json| Prompt::new(Chat::user(case["prompt"].as_str().unwrap()));
    let mut prompts: Vec<Prompt> = cases.iter().map(|case| chat(case).samples(2)).collect();
    prompts.extend(
        cases
            .iter()
            .map(|case| chat(case).prefill_tokens(&generated(case)[..5])),
    );
    let text = tokenizer.decode(&generated(&cases[1])[..7]).unwrap();
    assert_eq!(tokenizer.encode(&text).unwrap(), generated(&cases[1])[..7]);
    prompts.push(chat(&cases[1]).prefill(text));
    let sampling = Sampling::greedy().max_new_tokens(count).stop(stop.clone());
    let mut generation = model.generation(prompts, &sampling).unwrap();
    let mut texts = vec![String::new(); 3 * cases.len() + 1];
    for delta in &mut generation {
        let delta = delta.unwrap();
        let index = if delta.prompt < cases.len() {
            2 * delta.prompt + delta.sample
        } else {
            cases.len() + delta.prompt
        };
        texts[index] += &delta.text;
    }
    let responses = generation.finish().unwrap();
    assert_eq!(responses.len(), texts.len());
    let mut stopped = 0;
    for (index, (response, text_of_deltas)) in responses.iter().zip(&texts).enumerate() {
        let (case, skipped) = match index {
            0..12 => (&cases[index / 2], 0),
            12..18 => (&cases[index - 12], 5),
            _ => (&cases[1], 7),
        };
        let expected = &generated(case)[skipped..skipped + count];
        assert!(
            expected.starts_with(&response.tokens),
            "response {index}: {response:?}"
        );
        let text = tokenizer.decode(expected).unwrap();
        match text.find(&stop) {
            Some(end) => {
                stopped += 1;
                assert_eq!(
                    (&response.finish_reason, response.text.as_str()),
                    (&FinishReason::StopString, &text[..end])
                );
            }
            None => {
                assert_eq!(
                    (&response.finish_reason, &response.text),
                    (&FinishReason::Length, &text)
                );
                assert_eq!(response.tokens.len(), count);
            }
        }
        assert_eq!(text_of_deltas, &response.text, "response {index}");
        let whole = tokenizer.decode(&generated(case)[..skipped]).unwrap() + &response.text;
        assert_eq!(response.whole_text(), whole);
    }
    assert!(
        stopped >= 3,
        "both samples of the first prompt, and the response to its prefill"
    );
}
