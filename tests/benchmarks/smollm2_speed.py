"""Compares the tokens per second of offmodel-models with those of `transformers` and `peft`.

Both are measured in turns on the same machine, with the same libtorch, threads and batches. The last
argument names what to measure, all by default. Where other programs disturb the machine, set
OMP_NUM_THREADS=1: threads that wait for each other suffer most. Prints one line of JSON.

    cargo build -p offmodel-models --example speed
    venv/bin/pip install torch==2.11.0 transformers==5.24.0 gguf==0.19.0 peft==0.21.2
    venv/bin/python tests/benchmarks/smollm2_speed.py PATH/SmolLM2-135M-Instruct.Q4_1.gguf \
        target/debug/examples/speed [decode_1,decode_16,sample_16,adapted_16,sft]
"""

import json
import pathlib
import statistics
import subprocess
import sys
import time

import peft
import torch
import transformers

ROUNDS = 3
TOKENS = 64
# As in kernel/models/examples/speed.rs.
PROMPT = "Write a short story about a lighthouse keeper."
SENTENCE = "The lighthouse keeper climbed the stairs every evening to light the lamp. "


MEASURES = ("decode_1", "decode_16", "sample_16", "adapted_16", "sft")


LORA = peft.LoraConfig(
    r=32,
    lora_alpha=32,
    target_modules=["q_proj", "k_proj", "v_proj", "o_proj"]
    + ["gate_proj", "up_proj", "down_proj", "lm_head"],
)


def main(path: pathlib.Path, ours: str, measures: str = ",".join(MEASURES)) -> None:
    chosen = measures.split(",")
    tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        path.parent, gguf_file=path.name, dtype=torch.float32
    ).eval()
    reference = {
        "decode_1": lambda: decode(tokenizer, model, 1),
        "decode_16": lambda: decode(tokenizer, model, 16),
        "sample_16": lambda: decode(tokenizer, model, 16, do_sample=True, temperature=1.0, top_k=0),
        "adapted_16": lambda: adapted(tokenizer, model),
        "sft": lambda: sft(tokenizer, model),
    }
    rounds = []
    for _ in range(ROUNDS):
        run = subprocess.run([ours, *chosen], capture_output=True, text=True, check=True)
        mine = json.loads(run.stdout.splitlines()[-1])
        rounds.append({name: (mine[name], reference[name]()) for name in chosen})
    print(json.dumps(summary(rounds, chosen) | {"threads": torch.get_num_threads()}))


def summary(rounds, chosen):
    return {
        name: {
            "offmodel": round(statistics.median(each[name][0] for each in rounds), 1),
            "transformers": round(statistics.median(each[name][1] for each in rounds), 1),
            "ratios": [round(each[name][0] / each[name][1], 2) for each in rounds],
        }
        for name in chosen
    }


def chat(tokenizer, *messages, **options):
    roles = ("user", "assistant")
    messages = [{"role": role, "content": text} for role, text in zip(roles, messages)]
    text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
    return tokenizer(text, add_special_tokens=False).input_ids


def decode(tokenizer, model, rows, **sampling):
    ids = torch.tensor([chat(tokenizer, PROMPT, add_generation_prompt=True)] * rows)
    sampling = sampling or {"do_sample": False}

    def run(tokens):
        started = time.perf_counter()
        with torch.inference_mode():
            out = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                **sampling,
            )
        seconds = time.perf_counter() - started
        # A sampled response may end early; what follows its end token is padding.
        said = out[:, ids.shape[1] :]
        ends = (said == model.generation_config.eos_token_id).int()
        return int((ends.cumsum(-1) - ends == 0).sum()), seconds

    first, whole = run(1), run(TOKENS)
    return (whole[0] - first[0]) / (whole[1] - first[1])


def adapted(tokenizer, model):
    adapted = peft.get_peft_model(model, LORA).eval()
    speed = decode(tokenizer, adapted, 16)
    adapted.unload()
    return speed


def sft(tokenizer, model):
    """Steps of 16 chats as the usual training loop makes them: padded, one forward, one backward."""
    adapted = peft.get_peft_model(model, LORA).train()
    optimizer = torch.optim.Adam(
        [p for p in adapted.parameters() if p.requires_grad], lr=5e-5, betas=(0.9, 0.95)
    )
    start = len(chat(tokenizer, "Write a story.", add_generation_prompt=True))
    chats = [chat(tokenizer, "Write a story.", SENTENCE * (2 + i % 8))[:-1] for i in range(32)]
    times = []
    for batch in (chats[:16], chats[16:]):
        started = time.perf_counter()
        width = max(map(len, batch))
        pad = lambda ids, value: ids + [value] * (width - len(ids))
        ids = torch.tensor([pad(each, 2) for each in batch])
        mask = torch.tensor([pad([1] * len(each), 0) for each in batch])
        labels = torch.tensor([pad([-100] * start + each[start:], -100) for each in batch])
        logits = adapted(ids, attention_mask=mask).logits[:, :-1]
        torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels[:, 1:].flatten(), reduction="sum"
        ).backward()
        optimizer.step()
        optimizer.zero_grad()
        times.append(time.perf_counter() - started)
    adapted.unload()
    model.eval()
    return sum(len(each) + 1 for each in chats[16:]) / times[1]


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), *sys.argv[2:])
