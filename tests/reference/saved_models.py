"""Loads models that offmodel saved with `transformers`, and compares with what offmodel computed.

kernel/models/tests/saved.rs saves the models in folders of FOLDER. Each has `reference.safetensors` (tokens and
logits), and, if it has a chat template, `said.json` (the text of a rendered chat and its tokens). The script fails if
the logits, the text or the tokens differ, if a tensor is missing or unexpected, or if the weights do not have the type
that config.json names.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.24.0 safetensors numpy
    OFFMODEL_REFERENCE_VENV=$PWD/venv cargo nextest run -p offmodel-models -E 'test(transformers_reads)'
"""

import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file

TOLERANCE = 1e-4
CHAT = [{"role": "user", "content": "Hi there, 12!"}, {"role": "assistant", "content": "ok"}]


def check(folder: pathlib.Path) -> float:
    config = json.loads((folder / "config.json").read_text())
    model, info = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), (folder.name, info)
    assert type(model).__name__ == config["architectures"][0], folder.name
    assert model.dtype == getattr(torch, config["dtype"]), (folder.name, model.dtype)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied == config["tie_word_embeddings"], folder.name
    reference = load_file(folder / "reference.safetensors")
    with torch.no_grad():
        found = model.eval()(reference["tokens"][None]).logits[0].float()
    if (folder / "said.json").is_file():
        rendered = json.loads((folder / "said.json").read_text())
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        text = tokenizer.apply_chat_template(CHAT, tokenize=False)
        assert text == rendered["text"], (folder.name, text, rendered["text"])
        assert tokenizer(text, add_special_tokens=False).input_ids == rendered["ids"], folder.name
        assert tokenizer.eos_token_id in model.generation_config.eos_token_id, folder.name
    return ((found - reference["logits"]).abs().max() / reference["logits"].abs().max()).item()


def main(folder: pathlib.Path) -> None:
    differences = {case.name: check(case) for case in sorted(folder.iterdir())}
    print(json.dumps(differences, indent=1))
    assert differences, f"there are no models in {folder}"
    assert max(differences.values()) <= TOLERANCE, differences


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
