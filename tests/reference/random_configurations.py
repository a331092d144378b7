"""Saves models with random valid configurations as `transformers` writes them, or as people edit
them by hand, and records the logits that `transformers` computes after loading each folder again.

For kernel/models/tests/random_configurations.rs, which accepts equal logits or a refusal that names
the field, and never a silent difference.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.24.0 safetensors numpy
    venv/bin/python tests/reference/random_configurations.py FOLDER --count 200 --seed 1
"""

import argparse
import dataclasses
import json
import pathlib
import random
import shutil

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

# Longer than every sliding window and every original context below.
TOKENS = 72
# The largest relative difference between two orders of computation in float32; a model that is so
# badly conditioned that `transformers` itself exceeds it in float64 is drawn again.
MAX_CONDITION = 3e-5


class Draw:
    """Draws the fields of one configuration."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.edits: list[str] = []

    def one(self, *choices):
        return self.random.choice(choices)

    def maybe(self, probability: float = 0.5) -> bool:
        return self.random.random() < probability

    def shape(self) -> dict:
        groups, per_group = self.one(1, 2, 3), self.one(1, 2, 3)
        return dict(
            vocab_size=self.one(61, 80, 97),
            hidden_size=self.one(16, 24, 36),
            intermediate_size=self.one(20, 32, 44),
            num_hidden_layers=self.one(2, 3, 4),
            num_attention_heads=groups * per_group,
            num_key_value_heads=groups,
            head_dim=self.one(4, 8, 12),
            max_position_embeddings=self.one(96, 128, 4096),
            rms_norm_eps=self.one(1e-6, 1e-5, 1e-2),
            tie_word_embeddings=self.maybe(),
            bos_token_id=0,
            eos_token_id=self.one(1, [1, 2]),
            pad_token_id=None,
        )

    def rope(self, kinds: tuple[str, ...]) -> dict:
        kind = self.random.choice(kinds)
        theta = self.one(100.0, 500.0, 10000.0, 1e6)
        factor = self.one(2.0, 4.0, 8.0)
        original = self.one(16, 32)
        rope = dict(rope_type=kind, rope_theta=theta)
        if kind == "linear":
            rope |= dict(factor=factor)
        elif kind == "dynamic":
            rope |= dict(factor=factor)
        elif kind == "llama3":
            rope |= dict(factor=factor, low_freq_factor=self.one(1.0, 2.0), high_freq_factor=self.one(3.0, 4.0),
                         original_max_position_embeddings=original)
        elif kind == "yarn":
            rope |= dict(factor=factor, original_max_position_embeddings=original)
            if self.maybe():
                rope |= dict(beta_fast=self.one(8.0, 32.0), beta_slow=self.one(1.0, 2.0))
            if self.maybe(0.3):
                rope |= dict(attention_factor=self.one(0.9, 1.3))
            if self.maybe(0.3):
                rope |= dict(mscale=self.one(0.7, 1.0), mscale_all_dim=self.one(0.7, 1.0))
            if self.maybe(0.2):
                rope |= dict(truncate=False)
        elif kind == "longrope":
            pass  # the factors depend on the size of a head: see `longrope`
        elif kind == "proportional":
            rope |= dict(partial_rotary_factor=self.one(0.25, 0.5, 1.0))
            if self.maybe(0.3):
                rope |= dict(factor=factor)
        return rope

    def longrope(self, rope: dict, rotated: int) -> dict:
        half = rotated // 2
        numbers = lambda low, high: [round(self.random.uniform(low, high), 3) for _ in range(half)]
        return rope | dict(short_factor=numbers(1, 2), long_factor=numbers(2, 6), factor=4.0,
                           original_max_position_embeddings=self.one(16, 32))

    def windows(self, layers: int) -> dict:
        types = [self.one("sliding_attention", "full_attention") for _ in range(layers)]
        return dict(sliding_window=self.one(4, 8, 40), layer_types=types)


def llama(draw: Draw) -> tuple[str, dict]:
    fields = draw.shape() | dict(attention_bias=draw.maybe(), mlp_bias=draw.maybe())
    kinds = ("default", "linear", "llama3", "yarn", "dynamic", "longrope")
    rope = draw.rope(kinds)
    if rope["rope_type"] == "longrope":
        rope = draw.longrope(rope, fields["head_dim"])
    return "Llama", fields | dict(rope_parameters=rope, hidden_act=draw.one("silu", "silu", "silu", "gelu"))


def qwen(family: str):
    def make(draw: Draw) -> tuple[str, dict]:
        fields = draw.shape()
        if family == "Qwen2":
            fields["head_dim"] = 8
            fields["hidden_size"] = 8 * fields["num_attention_heads"]
        else:
            fields |= dict(attention_bias=draw.maybe(0.3))
        fields |= dict(rope_parameters=draw.rope(("default", "yarn", "yarn", "linear", "dynamic")))
        if draw.maybe(0.4):
            fields |= dict(use_sliding_window=True, sliding_window=draw.one(4, 8, 40))
            if family != "Qwen3Moe":
                fields |= dict(max_window_layers=draw.one(0, 1, 99))
        if family == "Qwen3Moe":
            experts = draw.one(4, 6, 8)
            fields |= dict(num_experts=experts, num_experts_per_tok=draw.one(1, 2, 3), moe_intermediate_size=draw.one(4, 8),
                           norm_topk_prob=draw.maybe(), decoder_sparse_step=draw.one(1, 1, 2),
                           mlp_only_layers=draw.one([], [], [0], [1]))
        return family, fields
    return make


def deepseek(draw: Draw) -> tuple[str, dict]:
    fields = draw.shape()
    del fields["head_dim"]
    fields["num_key_value_heads"] = fields["num_attention_heads"]
    groups = draw.one(1, 2, 4)
    experts = groups * draw.one(2, 3)
    open_groups = draw.random.randint(1, groups)
    rope = draw.rope(("default", "yarn", "yarn", "linear"))
    if rope["rope_type"] == "linear" and draw.maybe():
        rope["mscale_all_dim"] = 0.8
    fields |= dict(q_lora_rank=draw.one(None, 12), kv_lora_rank=draw.one(8, 10), qk_nope_head_dim=draw.one(4, 6),
                   qk_rope_head_dim=draw.one(4, 8), v_head_dim=draw.one(6, 10), n_routed_experts=experts,
                   n_group=groups, topk_group=open_groups,
                   num_experts_per_tok=min(draw.one(1, 2, 3), open_groups * (experts // groups)),
                   moe_intermediate_size=draw.one(4, 8), n_shared_experts=draw.one(1, 2),
                   first_k_dense_replace=draw.one(0, 1, 2), norm_topk_prob=draw.maybe(),
                   routed_scaling_factor=draw.one(1.0, 2.5), rope_interleave=draw.maybe(), rope_parameters=rope,
                   attention_bias=draw.maybe(0.3))
    return "DeepseekV3", fields


def gemma2(draw: Draw) -> tuple[str, dict]:
    fields = draw.shape() | dict(pad_token_id=0, bos_token_id=2, eos_token_id=1)
    fields |= dict(query_pre_attn_scalar=draw.one(4, 8, 256), attn_logit_softcapping=draw.one(None, 2.0, 50.0),
                   final_logit_softcapping=draw.one(None, 3.0, 30.0), attention_bias=draw.maybe(0.3),
                   rope_parameters=draw.rope(("default", "linear")), **draw.windows(fields["num_hidden_layers"]))
    return "Gemma2", fields


def gemma3(draw: Draw) -> tuple[str, dict]:
    fields = draw.shape() | dict(pad_token_id=0, bos_token_id=2, eos_token_id=1)
    fields |= dict(query_pre_attn_scalar=draw.one(4, 8, 256), final_logit_softcapping=draw.one(None, None, 3.0),
                   attention_bias=draw.maybe(0.3),
                   rope_parameters=dict(full_attention=draw.rope(("default", "linear")),
                                        sliding_attention=draw.rope(("default", "linear"))),
                   **draw.windows(fields["num_hidden_layers"]))
    return draw.one("Gemma3Text", "Gemma3Text", "Gemma3"), fields


def gemma4(draw: Draw) -> tuple[str, dict]:
    fields = draw.shape() | dict(pad_token_id=0, bos_token_id=2, eos_token_id=1)
    windows = draw.windows(fields["num_hidden_layers"])
    windows["layer_types"][-1] = "full_attention"
    shared = draw.one(0, 0, 1)
    own = windows["layer_types"][:len(windows["layer_types"]) - shared]
    if shared and "full_attention" not in own:
        windows["layer_types"][0] = "full_attention"
    fields |= dict(global_head_dim=draw.one(8, 12), attention_k_eq_v=draw.maybe(0.4),
                   final_logit_softcapping=draw.one(None, 3.0), num_kv_shared_layers=shared,
                   use_double_wide_mlp=draw.maybe(0.3), hidden_size_per_layer_input=draw.one(0, 6),
                   vocab_size_per_layer_input=fields["vocab_size"] + draw.one(0, 3),
                   rope_parameters=dict(full_attention=draw.rope(("proportional", "default", "linear")),
                                        sliding_attention=draw.rope(("default", "linear"))), **windows)
    if draw.maybe(0.4):
        fields["num_global_key_value_heads"] = 1
    if draw.maybe(0.4):
        fields |= dict(enable_moe_block=True, num_experts=draw.one(4, 6), top_k_experts=draw.one(1, 2), moe_intermediate_size=8)
    return "Gemma4Text", fields


ARCHITECTURES = {"llama": llama, "qwen2": qwen("Qwen2"), "qwen3": qwen("Qwen3"), "qwen3_moe": qwen("Qwen3Moe"),
                 "deepseek_v3": deepseek, "gemma2": gemma2, "gemma3": gemma3, "gemma4": gemma4}
VISION = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8)


def build(family: str, fields: dict) -> torch.nn.Module:
    if family == "Gemma3":
        text = transformers.Gemma3TextConfig(**fields)
        config = transformers.Gemma3Config(text_config=text.to_dict(), vision_config=VISION)
        config.tie_word_embeddings = fields["tie_word_embeddings"]
        return transformers.Gemma3ForConditionalGeneration(config)
    config = getattr(transformers, f"{family}Config")(**fields)
    return getattr(transformers, f"{family.removesuffix('Text')}ForCausalLM")(config)


def randomise(model: torch.nn.Module, draw: Draw) -> None:
    """Norms of one, biases of zero and a flat router would hide mistakes; so would one sign."""
    buffers = [(key, buffer) for key, buffer in model.named_buffers() if key.endswith(("correction_bias", "layer_scalar"))]
    for key, tensor in list(model.named_parameters()) + buffers:
        tensor.data.add_(torch.randn_like(tensor) * 0.2)
        if key.endswith("correction_bias"):
            tensor.data.add_(draw.one(-1.5, -0.4, 0.0, 2.0))


# ------------------------------------------------------------- what people do to their folders

def old_rope(config: dict, draw: Draw) -> bool:
    """`rope_theta` and `rope_scaling`, as `transformers` 4 wrote them."""
    rope = config.pop("rope_parameters", None)
    if not rope or "rope_type" not in rope:
        if rope:
            config["rope_parameters"] = rope
        return False
    config["rope_theta"] = rope.pop("rope_theta")
    if rope["rope_type"] != "default":
        if draw.maybe(0.3):
            rope["type"] = rope.pop("rope_type")
        config["rope_scaling"] = rope
    elif draw.maybe():
        config["rope_scaling"] = None
    return True


def rope_beside(config: dict, draw: Draw) -> bool:
    """What Qwen's model cards tell users to add, beside what `transformers` 5 has written."""
    if "rope_parameters" not in config or "rope_type" not in config["rope_parameters"]:
        return False
    config["rope_scaling"] = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
    return True


def original_on_top(config: dict, draw: Draw) -> bool:
    if config.get("rope_parameters", {}).get("rope_type") not in ("llama3", "yarn", "longrope"):
        return False
    config["original_max_position_embeddings"] = draw.one(8, 24)
    return True


def drop_defaults(config: dict, draw: Draw) -> bool:
    kind = type(transformers.AutoConfig.for_model(config["model_type"]))
    for field in dataclasses.fields(kind):
        if field.name in config and field.default is not dataclasses.MISSING and config[field.name] == field.default:
            del config[field.name]
    return True


def unrelated_fields(config: dict, draw: Draw) -> bool:
    config |= {"torch_dtype": "float32", "_name_or_path": "someone/model", "attention_dropout": 0.1, "use_cache": False,
               "my_own_field": 1}
    return True


def private_pattern(config: dict, draw: Draw) -> bool:
    if config["model_type"] not in ("gemma2", "gemma3_text"):
        return False
    config.pop("layer_types", None)
    config[draw.one("_sliding_window_pattern", "sliding_window_pattern")] = draw.one(2, 3)
    return True


def swish(config: dict, draw: Draw) -> bool:
    if config.get("hidden_act") != "silu":
        return False
    config["hidden_act"] = "swish"
    return True


CONFIG_EDITS = [old_rope, rope_beside, original_on_top, drop_defaults, unrelated_fields, private_pattern, swish]


def own_head(tensors: dict, config: dict) -> bool:
    """A head in the file of a model that says it is tied."""
    if not config.get("tie_word_embeddings") or "model.embed_tokens.weight" not in tensors:
        return False
    tensors["lm_head.weight"] = torch.randn_like(tensors["model.embed_tokens.weight"]) * 0.2
    return True


def only_head(tensors: dict, config: dict) -> bool:
    if not config.get("tie_word_embeddings") or "model.embed_tokens.weight" not in tensors:
        return False
    tensors["lm_head.weight"] = tensors.pop("model.embed_tokens.weight")
    return True


def without_prefix(tensors: dict, config: dict) -> bool:
    """As saved from `LlamaModel` in place of `LlamaForCausalLM`."""
    if "lm_head.weight" in tensors or not all(key.startswith("model.") for key in tensors):
        return False
    for key in list(tensors):
        tensors[key.removeprefix("model.")] = tensors.pop(key)
    return True


TENSOR_EDITS = [own_head, only_head, without_prefix]


def edit(folder: pathlib.Path, draw: Draw) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    inner = config.get("text_config", config)
    for change in CONFIG_EDITS:
        if draw.maybe(0.2) and change(inner, draw):
            draw.edits.append(change.__name__)
    path.write_text(json.dumps(config, indent=2) + "\n")
    if draw.maybe(0.25):
        change = draw.random.choice(TENSOR_EDITS)
        tensors = load_file(folder / "model.safetensors")
        if change(tensors, config):
            save_file(tensors, folder / "model.safetensors", {"format": "pt"})
            draw.edits.append(change.__name__)


# ------------------------------------------------------------------------------ the reference

def logits_of(model: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model(tokens).logits[0]


def record(folder: pathlib.Path, draw: Draw) -> str | None:
    """Writes `reference.safetensors`; returns why the case is of no use, if it is not."""
    auto = transformers.AutoModelForCausalLM
    if "text_config" in json.loads((folder / "config.json").read_text()):
        auto = transformers.AutoModelForImageTextToText
    try:
        model = auto.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager",
                                     experts_implementation="eager").eval()
        size = model.config.get_text_config().vocab_size
        tokens = torch.randint(0, size, (1, TOKENS))
        logits = logits_of(model, tokens)
        exact = logits_of(model.double(), tokens)
    except Exception as error:  # a folder that the reference itself refuses says nothing
        return f"{type(error).__name__}: {error}".splitlines()[0][:160]
    if not torch.isfinite(logits).all():
        return "logits are not finite"
    if ((logits - exact).abs().max() / exact.abs().max()).item() > MAX_CONDITION:
        return "badly conditioned"
    vocabulary = {f"<{token}>": token for token in range(size)}
    Tokenizer(WordLevel(vocabulary, unk_token="<0>")).save(str(folder / "tokenizer.json"))
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "edits": " ".join(draw.edits)}
    save_file({"tokens": tokens[0], "logits": logits.float().contiguous()}, folder / "reference.safetensors", versions)
    return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    made, seed = 0, arguments.seed * 1_000_000
    while made < arguments.count:
        seed += 1
        names = list(ARCHITECTURES)
        name = names[made % len(names)]
        draw = Draw(seed)
        torch.manual_seed(seed)
        family, fields = ARCHITECTURES[name](draw)
        folder = arguments.folder / f"{name}_{seed}"
        try:
            model = build(family, fields).float().eval()
        except Exception as error:
            print(f"{name} {seed}: not built: {error}".splitlines()[0], flush=True)
            continue
        randomise(model, draw)
        model.save_pretrained(folder)
        edit(folder, draw)
        problem = record(folder, draw)
        if problem:
            print(f"{name} {seed} {draw.edits}: left out: {problem}", flush=True)
            shutil.rmtree(folder)
            continue
        made += 1
    print(f"{made} configurations")


if __name__ == "__main__":
    main()
