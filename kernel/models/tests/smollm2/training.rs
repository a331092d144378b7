//! LoRA fine-tuning.

use offmodel_models::{Adapter, Chat, LoraConfig, Model, Sampling, SftOptions, fine_tune};
use serde_json::Value as Json;
use tch::{Kind, Tensor};

use crate::reference::{assert_close, fixture, smollm2, zeros};

#[test]
fn training_steps_have_the_losses_of_peft() {
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
        // Fewer than the batch has, so that gradients of several micro-batches are added up.
        micro_batch_tokens: 128,
        ..SftOptions::default()
    };
    let student = model
        .with_adapter(&reference_adapter(&model, lora))
        .unwrap();
    let tuned = fine_tune(&student, &chats, &options).unwrap();
    assert_eq!(tuned.steps.len(), steps.len());
    for (step, reference) in tuned.steps.iter().zip(steps) {
        assert_eq!(step.tokens as u64, reference["tokens"].as_u64().unwrap());
        assert_close(
            step.loss * step.tokens as f64,
            number(&reference["loss_sum"]),
            2e-4,
        );
    }
    let after = student.with_adapter(&tuned.adapter).unwrap();
    let sum: f32 = after.score(&chats).unwrap().iter().flatten().sum();
    assert_close(-f64::from(sum), number(&fixture["loss_sum_after"]), 2e-4);
    for (module, norms) in fixture["norms_after"].as_object().unwrap() {
        let (_, a, b) = tuned
            .adapter
            .modules()
            .find(|(name, ..)| name == module)
            .unwrap();
        assert_close(a.norm().double_value(&[]), number(&norms[0]), 1e-3);
        assert_close(b.norm().double_value(&[]), number(&norms[1]), 1e-3);
    }
}

#[test]
fn training_changes_only_the_adapter() {
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
    // The recorded loss is a mean before the update, so that of step 1 is the untrained student's.
    assert_close(losses[0], perplexity.ln(), 1e-4);
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

    // The same options give the same adapter, and another seed gives another one.
    let short = SftOptions {
        max_steps: Some(2),
        ..options
    };
    let loss = |options: &SftOptions| fine_tune(&model, &chats, options).unwrap().steps[1].loss;
    assert_close(loss(&short), losses[1], 1e-6);
    assert_ne!(loss(&SftOptions { seed: 1, ..short }), losses[1]);
}

#[test]
fn an_untrained_adapter_changes_nothing() {
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
    // All linear modules of 30 layers, and the output layer, with rank 32.
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

/// The adapter of the reference script: `A[i, j] = sin(i + 0.01 j) / sqrt(in_features)` and B = 0.
fn reference_adapter(model: &Model, lora: LoraConfig) -> Adapter {
    let shape = model.configuration();
    let heads = |count: i64| count * shape.head_dim;
    let (hidden, mlp) = (shape.hidden_size, shape.intermediate_size);
    let (queries, keys) = (
        heads(shape.num_attention_heads),
        heads(shape.num_key_value_heads),
    );
    let mut modules = vec![("lm_head".to_owned(), hidden, shape.vocab_size)];
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
            modules.push((format!("model.layers.{layer}.{name}"), inputs, outputs));
        }
    }
    let rank = lora.rank;
    let matrices = modules.into_iter().map(|(module, inputs, outputs)| {
        let double = (Kind::Double, tch::Device::Cpu);
        let (rows, columns) = (Tensor::arange(rank, double), Tensor::arange(inputs, double));
        let a: Tensor = (rows.unsqueeze(1) + columns.unsqueeze(0) * 0.01).sin();
        let a = (a / (inputs as f64).sqrt()).to_kind(Kind::Float);
        (module, a, zeros([outputs, rank]))
    });
    Adapter::from_tensors(lora.clone(), matrices.collect::<Vec<_>>()).unwrap()
}
