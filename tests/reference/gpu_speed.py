"""Measures tokens per second on a GPU, of offmodel and of `transformers` in alternation.

Both have random bfloat16 weights in the shape of Qwen3-4B and decode batches of 1 and 128. offmodel also measures LoRA
fine-tuning and the peak rates of the device. Prints one line of JSON.

    cargo build -p offmodel-models --example gpu_speed
    python3 tests/reference/gpu_speed.py target/debug/examples/gpu_speed      # on the GPU machine

The program is small and does not link CUDA: it loads libtorch 2.11 from the Python environment that runs this script.
`libtch.so`, which set-up built, must lie beside the program or in the folder LIBTCH. `--tiny` tries everything on a CPU.
"""

import argparse
import json
import os
import pathlib
import subprocess
import time

import torch
import transformers

PROMPT, TOKENS = 128, 128


def offmodel(program: pathlib.Path, tiny: bool) -> dict:
    folders = [pathlib.Path(torch.__file__).parent / "lib", os.environ.get("LIBTCH", program.resolve().parent)]
    path = ":".join(map(str, folders)) + ":" + os.environ.get("LD_LIBRARY_PATH", "")
    run = subprocess.run([program, *(["tiny"] if tiny else [])], env=os.environ | {"LD_LIBRARY_PATH": path},
                         check=True, capture_output=True, text=True)
    return json.loads(run.stdout.splitlines()[-1])


def reference(device: str, tiny: bool) -> dict:
    shape = dict(vocab_size=512, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, head_dim=16) if tiny else dict(
        vocab_size=151_936, hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32,
        num_key_value_heads=8, head_dim=128, max_position_embeddings=262_144)
    config = transformers.Qwen3Config(**shape, tie_word_embeddings=True, eos_token_id=None, pad_token_id=0)
    with torch.device(device):
        model = transformers.Qwen3ForCausalLM(config).to(torch.bfloat16).eval()
    prompt, tokens, batches = (4, 8, (1, 4)) if tiny else (PROMPT, TOKENS, (1, 128))
    rates = {}
    for name, batch in zip(("decode_single", "decode_batch"), batches):
        inputs = torch.full((batch, prompt), 2, device=device)

        def timed(count: int) -> float:
            started = time.perf_counter()
            model.generate(inputs, attention_mask=torch.ones_like(inputs), do_sample=False, max_new_tokens=count)
            if device == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter() - started

        timed(2)
        first = timed(1)
        rates[name] = batch * (tokens - 1) / (timed(tokens) - first)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    if arguments.program.stat().st_size > 50_000_000:
        raise SystemExit("the program is larger than 50 MB")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not arguments.tiny:
        raise SystemExit("there is no GPU; --tiny tries the script without one")
    rounds = [(offmodel(arguments.program, arguments.tiny), reference(device, arguments.tiny))
              for _ in range(arguments.rounds)]
    ours, theirs = ([max(one[side][key] for one in rounds) for key in ("decode_single", "decode_batch")] for side in (0, 1))
    best = max((one[0] for one in rounds), key=lambda measured: measured["lora_sft"])
    print(json.dumps({
        "date": time.strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "offmodel": best | dict(zip(("decode_single", "decode_batch"), ours)),
        "transformers": dict(zip(("decode_single", "decode_batch"), theirs)),
        "times_as_fast": [round(one / other, 2) for one, other in zip(ours, theirs)],
    }))


if __name__ == "__main__":
    main()
