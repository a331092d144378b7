//! Behaviour of model handles: errors, display, threads, adapters in one batch.

use offmodel_models::{
    Adapter, Chat, LoraConfig, Model, ModelError, Sampling, SftOptions, fine_tune,
};

use crate::reference::{smollm2, zeros};

#[test]
fn a_model_that_computes_nan_is_an_error_not_a_response() {
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
fn invalid_inputs_are_errors_with_the_facts() {
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
        targets: ["q_project"].into(),
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
    let misshapen = vec![("lm_head".to_owned(), zeros([32, 5]), zeros([49152, 32]))];
    let misshapen = Adapter::from_tensors(LoraConfig::default(), misshapen).unwrap();
    let error = model.with_adapter(&misshapen).unwrap_err().to_string();
    assert!(
        error.contains("lm_head maps 5 to 49152 numbers, in the model 576"),
        "{error}"
    );
}

#[test]
fn a_handle_displays_its_model_and_works_on_another_thread() {
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
    let elsewhere = std::thread::scope(|scope| {
        scope
            .spawn(|| clone.generate(&chats, &sampling).unwrap())
            .join()
            .unwrap()
    });
    assert_eq!(elsewhere, model.generate(&chats, &sampling).unwrap());
}

#[test]
fn handles_with_different_adapters_respond_in_one_batch_as_they_do_alone() {
    let Some(model) = smollm2() else { return };
    let tuned = |seed: i64| {
        tch::manual_seed(seed);
        let lora = LoraConfig {
            rank: 4,
            ..LoraConfig::default()
        };
        let untrained = model.untrained_adapter(&lora, 1).unwrap();
        let matrices = untrained.modules().map(|(module, a, b)| {
            let b = b.randn_like() * 0.02;
            (module.to_owned(), a.shallow_clone(), b)
        });
        let adapter = Adapter::from_tensors(lora, matrices.collect::<Vec<_>>()).unwrap();
        model.with_adapter(&adapter).unwrap()
    };
    let (one, other) = (tuned(1), tuned(2));
    let chats = ["Name a colour.", "What is 2 + 2?"].map(Chat::user);
    let handles = [&model, &one, &other, &one.merge().unwrap()];
    let requests: Vec<(&Model, &Chat)> = handles
        .into_iter()
        .flat_map(|handle| chats.iter().map(move |chat| (handle, chat)))
        .collect();
    let greedy = Sampling::greedy().max_new_tokens(12);
    let together = Model::generate_together(&requests, &greedy).unwrap();
    for (handle, responses) in handles.into_iter().zip(together.chunks(2)) {
        let alone = handle.generate(&chats, &greedy).unwrap();
        for (response, alone) in responses.iter().zip(alone) {
            assert_eq!(response.tokens, alone.tokens);
        }
    }
    assert_ne!(together[0].tokens, together[2].tokens);
    assert_ne!(together[2].tokens, together[4].tokens);
    assert_eq!(together[2].tokens, together[6].tokens);
    assert!(Model::generate_together(&[], &greedy).unwrap().is_empty());
}

#[test]
fn a_last_assistant_message_is_continued() {
    let Some(model) = smollm2() else { return };
    let chat = Chat::user("What is the capital of France?");
    let greedy = Sampling::greedy().max_new_tokens(16);
    let whole = model
        .generate(std::slice::from_ref(&chat), &greedy)
        .unwrap();
    let start = model.tokenizer().decode(&whole[0].tokens[..3]).unwrap();
    let rest = model.generate(&[chat.assistant(&*start)], &greedy).unwrap();
    assert!(
        whole[0].text.starts_with(&start)
            && rest[0].text.starts_with(&whole[0].text[start.len()..]),
        "{start:?}, {:?} after {:?}",
        rest[0].text,
        whole[0].text
    );
}
