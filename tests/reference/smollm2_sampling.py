"""Checks with `transformers` that the recorded on-model responses are samples at temperature 1.

If they are, the mean of -log p over the tokens of notebooks/data/on_model.jsonl equals the mean entropy of the
distributions from which the tokens were sampled, up to sampling error. Prints both and the z-score of the difference.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.23.0 gguf==0.19.0
    venv/bin/python tests/reference/smollm2_sampling.py PATH/SmolLM2-135M-Instruct.Q4_1.gguf
"""

import json
import pathlib
import statistics
import sys

import torch
import transformers

RESPONSES = pathlib.Path(__file__).parents[2] / "notebooks" / "data" / "on_model.jsonl"


@torch.no_grad()
def main():
    path = pathlib.Path(sys.argv[1])
    source = dict(pretrained_model_name_or_path=path.parent, gguf_file=path.name)
    tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
    model = transformers.AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    surprisal, entropy = [], []
    for line in RESPONSES.read_text().splitlines():
        record = json.loads(line)
        chat = [{"role": "user", "content": record["prompt"]}]
        prompt = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        start = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        text = prompt + record["response"] + "<|im_end|>"
        tokens = torch.tensor(tokenizer(text, add_special_tokens=False)["input_ids"])
        log_p = model(tokens[None]).logits[0, start - 1 : -1].double().log_softmax(-1)
        surprisal += (-log_p.gather(1, tokens[start:, None])[:, 0]).tolist()
        entropy += (-(log_p.exp() * log_p).sum(-1)).tolist()
    difference = [s - h for s, h in zip(surprisal, entropy)]
    error = statistics.stdev(difference) / len(difference) ** 0.5
    print(f"{len(difference)} tokens: mean -log p {statistics.mean(surprisal):.4f},", end=" ")
    print(f"mean entropy {statistics.mean(entropy):.4f}, z {statistics.mean(difference) / error:.2f}")


main()
