"""Records adapters that PEFT saved, and checks with PEFT those that offmodel saved.

kernel/models/tests/adapters.rs uses both directions:

- `record` saves PEFT adapters with random matrices for the small models in tests/fixtures/architectures, records the
  logits with them, and records the losses of some training steps in tests/fixtures/adapters_training.json;
- `check FOLDER` loads adapters that offmodel saved in FOLDER, each in a folder with `base` (the path of its model) and
  `reference.safetensors` (tokens and offmodel's logits), and fails if the logits differ.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.24.0 peft==0.21.2 safetensors
    venv/bin/python tests/reference/peft_adapters.py record
"""

import json
import pathlib
import shutil
import sys
import warnings

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

FIXTURES = pathlib.Path(__file__).parent.parent / "fixtures"
MODELS, ADAPTERS = FIXTURES / "architectures", FIXTURES / "adapters"
TOLERANCE = 1e-4
TOKENS = 24
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
MLP = ["gate_proj", "up_proj", "down_proj"]
LATENT = ["q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"]
EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
CASES = {
    "tied_output_layer": ("llama_odd_heads_tied", dict(r=4, lora_alpha=6, lora_dropout=0.1, target_modules=ATTENTION + MLP + ["lm_head"])),
    "untied_output_layer": ("llama_scaled_rope", dict(r=2, lora_alpha=2, target_modules=["v_proj", "lm_head"])),
    "rank_stabilised": ("qwen3_odd_heads", dict(r=9, lora_alpha=5, use_rslora=True, target_modules=ATTENTION)),
    "patterns": ("llama_biases", dict(r=4, lora_alpha=8, target_modules=r".*\.(q_proj|up_proj|down_proj)", rank_pattern={"up_proj": 2, r"layers\.1\..*q_proj": 3}, alpha_pattern={"down_proj": 1})),
    "all_linear": ("qwen3_tied", dict(r=3, lora_alpha=7, target_modules="all-linear")),
    "some_layers": ("llama_scaled_rope", dict(r=2, lora_alpha=4, target_modules=ATTENTION, layers_to_transform=[1], exclude_modules=["o_proj"])),
    "latent_attention": ("deepseek_v3", dict(r=2, lora_alpha=4, target_modules=LATENT)),
    "stacked_experts": ("qwen3_moe_normalised", dict(r=2, lora_alpha=3, target_modules=["q_proj"], target_parameters=EXPERTS)),
    "stacked_down": ("qwen3_moe_unnormalised", dict(r=2, lora_alpha=3, target_modules=["v_proj"], target_parameters=EXPERTS[1:], alpha_pattern={"down_proj": 5})),
    "stacked_gate_up": ("qwen3_moe_sparse_step_tied", dict(r=3, lora_alpha=3, target_modules=["o_proj"], target_parameters=EXPERTS[:1], rank_pattern={"gate_up_proj": 2})),
    "brain_floats": ("llama_scaled_rope", dict(r=4, lora_alpha=8, target_modules=["o_proj"] + MLP)),
    "router": ("qwen3_moe_normalised", dict(r=2, lora_alpha=3, target_modules=["q_proj", "gate"], rank_pattern={"gate": 3})),
    "router_as_parameter": ("qwen3_moe_unnormalised", dict(r=3, lora_alpha=3, target_modules=["o_proj"], target_parameters=["mlp.gate.weight"] + EXPERTS, rank_pattern={"mlp.gate.weight": 2}, alpha_pattern={"gate.weight": 5})),
    "sigmoid_router": ("deepseek_v3", dict(r=2, lora_alpha=4, target_modules=["gate", "kv_b_proj"])),
    "router_beside_mlp": ("gemma4_experts", dict(r=2, lora_alpha=4, target_modules=["router.proj", "up_proj"])),
    "experts_beside_mlp": ("gemma4_experts", dict(r=2, lora_alpha=4, target_modules=["o_proj"], target_parameters=["experts.gate_up_proj", "experts.down_proj"])),
    "all_linear_experts": ("qwen3_moe_yarn", dict(r=2, lora_alpha=4, target_modules="all-linear")),
}

# Adapters without dropout whose training is recorded, from the matrices A and B of the fixture on.
TRAINED = ["untied_output_layer", "rank_stabilised", "patterns", "all_linear", "latent_attention", "router"]
STEPS, LEARNING_RATE, BETAS = 4, 1e-2, (0.9, 0.95)
EXAMPLES = [(12, 5), (7, 1), (20, 16)]


def base(path):
    return transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()


def logits(model, tokens):
    with torch.no_grad():
        return model(tokens[None]).logits[0].contiguous()


def record() -> None:
    shutil.rmtree(ADAPTERS, ignore_errors=True)
    for seed, (name, (model_name, options)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        model = base(MODELS / model_name)
        # The configuration of the adapter must not name a path of the machine that recorded it.
        model.name_or_path = model.config._name_or_path = f"offmodel/{model_name}"
        model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **options)).eval()
        for parameter_name, parameter in model.named_parameters():
            if "lora_" in parameter_name:
                parameter.data = torch.randn_like(parameter) * 0.3
                if name == "brain_floats":
                    parameter.data = parameter.data.bfloat16()
        folder = ADAPTERS / name
        model.save_pretrained(folder)
        (folder / "README.md").unlink()
        # Loaded again, because PEFT computes in float32 with matrices that were saved in bfloat16.
        loaded = peft.PeftModel.from_pretrained(base(MODELS / model_name), folder).eval()
        tokens = torch.randint(0, loaded.config.vocab_size, (TOKENS,))
        before = logits(base(MODELS / model_name), tokens)
        after = logits(loaded, tokens)
        assert (after - before).abs().max() > 0.05 * before.abs().max(), name
        versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
        save_file({"tokens": tokens, "logits": after}, folder / "reference.safetensors", versions)
        (folder / "base").write_text(model_name + "\n")
        print(name, len(load_file(folder / "adapter_model.safetensors")), "tensors")
    cases = {name: train(name, CASES[name][0]) for name in TRAINED}
    record = {"learning_rate": LEARNING_RATE, "betas": BETAS, "cases": cases}
    (FIXTURES / "adapters_training.json").write_text(json.dumps(record, indent=1) + "\n")


def train(name, model_name) -> dict:
    """Trains with Adam on the sum of -log p over the tokens of each example after its prompt, and returns the losses."""
    torch.manual_seed(len(name))
    model = peft.PeftModel.from_pretrained(base(MODELS / model_name), ADAPTERS / name, is_trainable=True)
    examples = [(torch.randint(0, model.config.vocab_size, (length,)), prompt) for length, prompt in EXAMPLES]
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE, betas=BETAS)
    losses = []
    for _ in range(STEPS):
        loss = sum(
            torch.nn.functional.cross_entropy(model(tokens[None]).logits[0, prompt - 1 : -1], tokens[prompt:], reduction="sum")
            for tokens, prompt in examples
        )
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return {"examples": [{"tokens": tokens.tolist(), "prompt": prompt} for tokens, prompt in examples], "losses": losses}


def check(folder: pathlib.Path) -> None:
    differences = {}
    for case in sorted(folder.iterdir()):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = peft.PeftModel.from_pretrained(base((case / "base").read_text().strip()), case).eval()
        for warning in caught:
            # PEFT warns about missing and unexpected tensors, but does not fail.
            assert "missing" not in str(warning.message) and "unexpected" not in str(warning.message), (case.name, warning.message)
        reference = load_file(case / "reference.safetensors")
        found, expected = logits(model, reference["tokens"]), reference["logits"]
        differences[case.name] = ((found - expected).abs().max() / expected.abs().max()).item()
    print(json.dumps(differences, indent=1))
    assert differences, f"there are no adapters in {folder}"
    assert max(differences.values()) <= TOLERANCE, differences


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["record"]:
            record()
        case ["check", folder]:
            check(pathlib.Path(folder))
        case _:
            sys.exit(__doc__)
