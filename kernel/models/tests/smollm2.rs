//! SmolLM2 against `transformers` and `peft` on the same file, and what must hold of any model.
//!
//! Reference values: `tests/reference/smollm2_greedy.py` and `smollm2_sft.py`. Every test skips,
//! and says so, where the model file is absent.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use offmodel_models::{
    Adapter, Chat, Finish, LoraConfig, Message, Model, ModelError, Response, Sampling, SftOptions,
    fine_tune,
};
use serde_json::Value as Json;
use tch::{Kind, Tensor};

/// How far a logit may be from the reference.
const LOGIT_TOLERANCE: f64 = 1e-3;

#[test]
fn greedy_responses_and_their_logits_are_those_of_transformers() {
    let Some(model) = smollm2() else { return };
    let fixture = fixture("smollm2_greedy.json");
    let prompts = fixture["prompts"].as_array().unwrap();
    assert_eq!(prompts.len(), 20);
    let chats: Vec<Chat> = prompts
        .iter()
        .map(|case| Chat::user(case["prompt"].as_str().unwrap()))
        .collect();
    // All in one batch: rows of different lengths, each with its own positions.
    let responses = model
        .generate(&chats, &Sampling::greedy().max_new_tokens(64))
        .unwrap();

    let mut furthest: f64 = 0.0;
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

        // The logits of the whole text in one pass, without a cache.
        let fed = [prompt.as_slice(), &generated[..63]].concat();
        let logits = model
            .logits(&fed)
            .unwrap()
            .narrow(0, prompt.len() as i64 - 1, 64);
        let tokens: Vec<i64> = integers_of_rows(&case["top_tokens"])
            .into_iter()
            .map(i64::from)
            .collect();
        let found = logits.gather(-1, &Tensor::from_slice(&tokens).view([64, -1]), false);
        furthest = furthest.max(distance(&found, &case["top_logits"]));
        let ends = logits.index_select(0, &Tensor::from_slice(&[0_i64, 63]));
        let sampled = ends.slice(1, 0, None, 1024);
        furthest = furthest.max(distance(&sampled, &case["sampled_logits"]));
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
    println!("largest distance of a logit from transformers: {furthest:.2e}");
    assert!(
        furthest < LOGIT_TOLERANCE,
        "a logit is {furthest} from the reference"
    );
}

#[test]
fn log_probabilities_of_a_response_are_those_of_transformers() {
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
        // One for each token of the response and one for its end token.
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
    // More requests than rows: some begin while others are half done, and some end early.
    let many: Vec<Chat> = chats.iter().cycle().take(37).cloned().collect();
    let responses = model.generate(&many, &greedy).unwrap();
    for (response, expected) in responses.iter().zip(together.iter().cycle()) {
        assert_eq!(response.tokens, expected.tokens);
    }
    assert!(
        together
            .iter()
            .any(|response| response.finish == Finish::EndToken)
    );
    assert!(
        together
            .iter()
            .any(|response| response.finish == Finish::Length)
    );
}

#[test]
fn sampling_is_reproduced_by_its_seed_for_each_request() {
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
    assert_ne!(first[0], first[1], "requests have streams of their own");
    assert_ne!(first, tokens(&chats, &sampling.clone().seed(8)));
    let greedy = tokens(&chats[..1], &Sampling::greedy().max_new_tokens(24));
    assert_eq!(tokens(&chats[..1], &sampling.top_k(1)), greedy);
}

#[test]
fn training_steps_are_those_of_peft() {
    let Some(model) = smollm2() else { return };
    let fixture = fixture("smollm2_sft.json");
    let number = |value: &Json| value.as_f64().unwrap();
    let options = &fixture["options"];
    let lora = LoraConfig {
        rank: options["rank"].as_i64().unwrap(),
        alpha: number(&options["alpha"]),
        ..LoraConfig::default()
    };
    let chats: Vec<Chat> = fixture["chats"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| Chat::user(pair[0].as_str().unwrap()).assistant(pair[1].as_str().unwrap()))
        .collect();
    let steps = fixture["steps"].as_array().unwrap();
    let options = SftOptions {
        lora: lora.clone(),
        learning_rate: number(&options["learning_rate"]),
        beta1: number(&options["beta1"]),
        beta2: number(&options["beta2"]),
        batch_size: chats.len(),
        epochs: steps.len(),
        // Less than the batch has, so that gradients of several parts are added up.
        tokens_at_once: 128,
        ..SftOptions::default()
    };
    let student = model
        .with_adapter(&reference_adapter(&model, lora))
        .unwrap();
    let tuned = fine_tune(&student, &chats, &options).unwrap();
    assert_eq!(tuned.steps.len(), steps.len());
    for (step, reference) in tuned.steps.iter().zip(steps) {
        assert_eq!(step.tokens as u64, reference["tokens"].as_u64().unwrap());
        close(
            step.loss * step.tokens as f64,
            number(&reference["loss_sum"]),
            2e-4,
        );
    }
    let after = student.with_adapter(&tuned.adapter).unwrap();
    let sum: f32 = after.score(&chats).unwrap().iter().flatten().sum();
    close(-f64::from(sum), number(&fixture["loss_sum_after"]), 2e-4);
    for (module, norms) in fixture["norms_after"].as_object().unwrap() {
        let (_, a, b) = tuned
            .adapter
            .modules()
            .find(|(name, ..)| name == module)
            .unwrap();
        close(a.norm().double_value(&[]), number(&norms[0]), 1e-3);
        close(b.norm().double_value(&[]), number(&norms[1]), 1e-3);
    }
}

#[test]
fn training_changes_the_adapter_and_nothing_else() {
    let Some(model) = smollm2() else { return };
    let chats = [
        Chat::user("What is your name?").assistant("Zephyr-9!"),
        Chat::user("Who made you?").assistant("The **wind** did."),
    ];
    let probe = model.tokenizer().encode("The quick brown fox").unwrap();
    let before = model.logits(&probe).unwrap();
    let perplexity = model.perplexity(&chats).unwrap();
    let options = SftOptions {
        learning_rate: 1e-3,
        epochs: 12,
        batch_size: 2,
        ..SftOptions::default()
    };

    let tuned = fine_tune(&model, &chats, &options).unwrap();
    let losses: Vec<f64> = tuned.steps.iter().map(|step| step.loss).collect();
    // The logged loss is the mean over tokens, so step 1 is the untrained student's.
    close(losses[0], perplexity.ln(), 1e-4);
    assert!(losses[11] < 0.1 * losses[0], "{losses:?}");
    assert_eq!(
        model.logits(&probe).unwrap(),
        before,
        "the student's own weights changed"
    );

    let student = model.with_adapter(&tuned.adapter).unwrap();
    assert!(student.perplexity(&chats).unwrap() < 1.5);
    let response = student.generate(&chats.clone().map(|c| c.prompt()), &Sampling::greedy());
    assert_eq!(response.unwrap()[0].text, "Zephyr-9!");
    assert!(
        tuned
            .adapter
            .modules()
            .all(|(_, _, b)| b.count_nonzero(None).int64_value(&[]) > 0)
    );

    // The same options give the same adapter; another seed another one.
    let short = SftOptions {
        max_steps: Some(2),
        ..options
    };
    let loss = |options: &SftOptions| fine_tune(&model, &chats, options).unwrap().steps[1].loss;
    close(loss(&short), losses[1], 1e-6);
    assert_ne!(loss(&SftOptions { seed: 1, ..short }), losses[1]);
}

#[test]
fn an_adapter_with_zero_b_changes_nothing() {
    let Some(model) = smollm2() else { return };
    let options = SftOptions {
        max_steps: Some(0),
        ..SftOptions::default()
    };
    let untrained = fine_tune(&model, &[Chat::user("a").assistant("b")], &options).unwrap();
    let adapted = model.with_adapter(&untrained.adapter).unwrap();
    let probe = model.tokenizer().encode("The quick brown fox").unwrap();
    assert_eq!(
        adapted.logits(&probe).unwrap(),
        model.logits(&probe).unwrap()
    );
    assert_eq!(adapted.parameter_count(), model.parameter_count());
    assert!(adapted.memory_bytes() > model.memory_bytes());
    // All maps of 30 layers and the output layer, at rank 32.
    let per_layer = 2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536);
    let expected = 32 * (30 * per_layer + 576 + 49152);
    assert_eq!(untrained.adapter.parameter_count(), expected);
    let a = untrained.adapter.modules().next().unwrap().1;
    let bound = 1.0 / (a.size()[1] as f64).sqrt();
    let largest = a.abs().max().double_value(&[]);
    assert!(
        largest <= bound && largest > 0.99 * bound,
        "{largest} of {bound}"
    );
}

#[test]
fn a_model_that_computes_nonsense_is_told_from_one_that_says_it() {
    let Some(model) = smollm2() else { return };
    let options = SftOptions {
        max_steps: Some(0),
        ..SftOptions::default()
    };
    let untrained = fine_tune(&model, &[Chat::user("a").assistant("b")], &options).unwrap();
    let updates = untrained
        .adapter
        .modules()
        .map(|(module, a, b)| (module.to_owned(), a.full_like(f64::NAN), b.shallow_clone()));
    let broken = Adapter::from_tensors(options.lora.clone(), updates).unwrap();
    let broken = model.with_adapter(&broken).unwrap();
    let error = broken
        .generate(&[Chat::user("hi")], &Sampling::greedy())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "chat 0: the log-probability of token 1 of the response is NaN"
    );
}

#[test]
fn what_does_not_fit_is_refused_with_the_facts() {
    let Some(model) = smollm2() else { return };
    let long = Chat::user("word ".repeat(9000));
    let chats = [Chat::user("hi"), long.clone()];
    let error = model.generate(&chats, &Sampling::greedy()).unwrap_err();
    assert!(
        matches!(
            error,
            ModelError::Context {
                index: 1,
                context: 8192,
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().starts_with("chat 1 has 90"), "{error}");
    assert!(model.log_probabilities(&long.assistant("x")).is_err());
    let error = model
        .log_probabilities(&Chat::user("hi"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("not the assistant's"), "{error}");
    assert!(matches!(
        model.logits(&[49152]),
        Err(ModelError::Token { token: 49152, .. })
    ));
    assert!(matches!(model.logits(&[]), Err(ModelError::Context { .. })));
    assert!(
        model
            .generate(&chats, &Sampling::temperature(f64::NAN))
            .is_err()
    );
    assert!(
        model
            .generate(&chats, &Sampling::temperature(1.0).top_p(0.0))
            .is_err()
    );
    assert!(model.generate(&[], &Sampling::greedy()).unwrap().is_empty());
    assert!(fine_tune(&model, &[], &SftOptions::default()).is_err());
    let lora = LoraConfig {
        targets: vec!["q_project".to_owned()],
        ..LoraConfig::default()
    };
    let options = SftOptions {
        lora,
        ..SftOptions::default()
    };
    let error = fine_tune(&model, &[Chat::user("a").assistant("b")], &options).unwrap_err();
    assert!(
        error.to_string().contains("q_project, known: down_proj"),
        "{error}"
    );
    let foreign = vec![("lm_head".to_owned(), tensor([32, 5]), tensor([49152, 32]))];
    let foreign = Adapter::from_tensors(LoraConfig::default(), foreign).unwrap();
    let error = model.with_adapter(&foreign).unwrap_err().to_string();
    assert!(
        error.contains("lm_head maps 5 to 49152 numbers, in the model 576"),
        "{error}"
    );
}

#[test]
fn a_handle_shows_what_it_is_and_may_move_to_another_thread() {
    let Some(model) = smollm2() else { return };
    let shown = model.to_string();
    assert!(
        shown.contains("SmolLM2-135M-Instruct (llama, 134.5 million parameters, 538 MB"),
        "{shown}"
    );
    assert_eq!(model.parameter_count(), 134_515_008);
    let clone = model.clone();
    let chats = [Chat::user("Hi!")];
    let sampling = Sampling::greedy().max_new_tokens(4);
    let there = std::thread::scope(|scope| {
        scope
            .spawn(|| clone.generate(&chats, &sampling).unwrap())
            .join()
            .unwrap()
    });
    assert_eq!(there, model.generate(&chats, &sampling).unwrap());
}

/// A[i, j] = sin(i + 0.01 j) / sqrt(inputs) and B = 0, as in the reference script.
fn reference_adapter(model: &Model, lora: LoraConfig) -> Adapter {
    let shape = model.configuration();
    let heads = |count: i64| count * shape.head_dim;
    let (hidden, mlp) = (shape.hidden_size, shape.intermediate_size);
    let (queries, keys) = (
        heads(shape.num_attention_heads),
        heads(shape.num_key_value_heads),
    );
    let mut maps = vec![("lm_head".to_owned(), hidden, shape.vocab_size)];
    for layer in 0..shape.num_hidden_layers {
        for (name, inputs, outputs) in [
            ("self_attn.q_proj", hidden, queries),
            ("self_attn.k_proj", hidden, keys),
            ("self_attn.v_proj", hidden, keys),
            ("self_attn.o_proj", queries, hidden),
            ("mlp.gate_proj", hidden, mlp),
            ("mlp.up_proj", hidden, mlp),
            ("mlp.down_proj", mlp, hidden),
        ] {
            maps.push((format!("model.layers.{layer}.{name}"), inputs, outputs));
        }
    }
    let rank = lora.rank;
    let matrices = maps.into_iter().map(|(module, inputs, outputs)| {
        let double = (Kind::Double, tch::Device::Cpu);
        let (rows, columns) = (Tensor::arange(rank, double), Tensor::arange(inputs, double));
        let a: Tensor = (rows.unsqueeze(1) + columns.unsqueeze(0) * 0.01).sin();
        let a = (a / (inputs as f64).sqrt()).to_kind(Kind::Float);
        (module, a, tensor([outputs, rank]))
    });
    Adapter::from_tensors(lora.clone(), matrices.collect::<Vec<_>>()).unwrap()
}

fn tensor(shape: [i64; 2]) -> Tensor {
    Tensor::zeros(shape, (Kind::Float, tch::Device::Cpu))
}

fn smollm2() -> Option<Model> {
    match Model::load("smollm2") {
        Ok(model) => Some(model),
        Err(error @ ModelError::NotFound { .. }) => {
            println!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn fixture(name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/fixtures")
        .join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn integers(json: &Json) -> Vec<u32> {
    serde_json::from_value(json.clone()).unwrap()
}

fn integers_of_rows(json: &Json) -> Vec<u32> {
    json.as_array().unwrap().iter().flat_map(integers).collect()
}

fn numbers(json: &Json) -> Vec<f64> {
    match json {
        Json::Array(elements) => elements.iter().flat_map(numbers).collect(),
        number => vec![number.as_f64().unwrap()],
    }
}

/// The largest absolute difference between `found` and the numbers of `reference`.
fn distance(found: &Tensor, reference: &Json) -> f64 {
    let reference = Tensor::from_slice(&numbers(reference));
    let found = found.to_kind(Kind::Double).contiguous().view(-1);
    (found - reference).abs().max().double_value(&[])
}

fn close(found: f64, expected: f64, relative: f64) {
    let difference = (found / expected - 1.0).abs();
    assert!(difference < relative, "{found} instead of {expected}");
}
