"""Saves small models with random weights, and records the logits that `transformers` computes with them.

The logits are computed on the CPU, in float32 and in bfloat16; kernel/models/tests/architectures.rs compares with
them. Each architecture has at least three configurations. One more model has its weights in 8 bits, in the format in
which DeepSeek-V3 is published. Replaces tests/fixtures/architectures.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.24.0 safetensors numpy
    venv/bin/python tests/reference/architectures.py
"""

import json
import pathlib
import shutil
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

FOLDER = pathlib.Path(__file__).parent.parent / "fixtures" / "architectures"
TOKENS = 72
SHARED = dict(vocab_size=61, hidden_size=24, intermediate_size=32, num_hidden_layers=2,
              max_position_embeddings=128, eos_token_id=1, bos_token_id=0, pad_token_id=None)
LLAMA3 = dict(rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=16)
YARN = dict(rope_type="yarn", rope_theta=1000.0, factor=8.0, beta_fast=8.0, beta_slow=1.0,
            mscale=1.0, mscale_all_dim=0.7, original_max_position_embeddings=16)
EXPERTS = dict(num_experts=6, num_experts_per_tok=2, moe_intermediate_size=8)
LATENT = dict(q_lora_rank=12, kv_lora_rank=8, qk_nope_head_dim=6, qk_rope_head_dim=4, v_head_dim=10,
              n_routed_experts=8, n_group=4, topk_group=2, num_experts_per_tok=3,
              moe_intermediate_size=8, n_shared_experts=1, first_k_dense_replace=1)
LINEAR = dict(rope_type="linear", rope_theta=500.0, factor=8.0)
PLAIN = dict(rope_type="default", rope_theta=100.0)
PARTIAL = dict(rope_type="proportional", rope_theta=300.0, partial_rotary_factor=0.5)
# The sliding window is shorter than the prompt, so that it takes effect.
GEMMA = dict(num_hidden_layers=4, sliding_window=8, bos_token_id=2, eos_token_id=1,
             layer_types=["sliding_attention", "full_attention", "sliding_attention", "full_attention"])
SPARSE = dict(enable_moe_block=True, num_experts=6, top_k_experts=2, moe_intermediate_size=8)
SIGLIP = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=16,
              patch_size=8)
GEMMA4_VISION = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2,
                     num_key_value_heads=2, head_dim=4, position_embedding_size=8, patch_size=4)
CASES = {
    "llama_odd_heads_tied": ("Llama", dict(num_attention_heads=3, num_key_value_heads=1, tie_word_embeddings=True)),
    "llama_scaled_rope": ("Llama", dict(num_attention_heads=4, num_key_value_heads=2, head_dim=8, rope_parameters=LLAMA3)),
    "llama_biases": ("Llama", dict(num_attention_heads=6, num_key_value_heads=3, head_dim=4, attention_bias=True, mlp_bias=True)),
    "qwen3_odd_heads": ("Qwen3", dict(num_attention_heads=5, num_key_value_heads=1, head_dim=8)),
    "qwen3_tied": ("Qwen3", dict(num_attention_heads=4, num_key_value_heads=2, head_dim=16, tie_word_embeddings=True)),
    "qwen3_yarn": ("Qwen3", dict(num_attention_heads=2, num_key_value_heads=2, head_dim=8, rope_parameters=YARN)),
    "qwen3_moe_normalised": ("Qwen3Moe", dict(num_attention_heads=3, num_key_value_heads=1, head_dim=8, norm_topk_prob=True, **EXPERTS)),
    "qwen3_moe_unnormalised": ("Qwen3Moe", dict(num_attention_heads=4, num_key_value_heads=2, head_dim=8, norm_topk_prob=False, mlp_only_layers=[0], **EXPERTS)),
    "qwen3_moe_sparse_step_tied": ("Qwen3Moe", dict(num_attention_heads=2, num_key_value_heads=2, head_dim=8, decoder_sparse_step=2, tie_word_embeddings=True, **EXPERTS)),
    "deepseek_v3": ("DeepseekV3", dict(num_attention_heads=3, num_key_value_heads=3, **LATENT)),
    "deepseek_v3_yarn": ("DeepseekV3", dict(num_attention_heads=2, num_key_value_heads=2, rope_parameters=YARN, **LATENT)),
    "deepseek_v3_direct_queries": ("DeepseekV3", dict(num_attention_heads=4, num_key_value_heads=4, norm_topk_prob=False, **(LATENT | dict(q_lora_rank=None, topk_group=3)))),
    "qwen3_moe_yarn": ("Qwen3Moe", dict(num_attention_heads=6, num_key_value_heads=2, head_dim=8, norm_topk_prob=True, rope_parameters=YARN, **EXPERTS)),
    "deepseek_v3_tied": ("DeepseekV3", dict(num_attention_heads=5, num_key_value_heads=5, tie_word_embeddings=True, rope_interleave=False, **LATENT)),
    "gemma3_odd_heads": ("Gemma3Text", GEMMA | dict(num_attention_heads=3, num_key_value_heads=1, head_dim=8, query_pre_attn_scalar=10, final_logit_softcapping=4.0)),
    "gemma3_scaled_rope_untied": ("Gemma3Text", GEMMA | dict(num_attention_heads=4, num_key_value_heads=2, head_dim=10, tie_word_embeddings=False, rope_parameters=dict(full_attention=LINEAR, sliding_attention=PLAIN))),
    "gemma3_with_images": ("Gemma3", GEMMA | dict(num_attention_heads=2, num_key_value_heads=2, head_dim=8, attention_bias=True, layer_types=None, sliding_window_pattern=3)),
    "gemma4_experts": ("Gemma4Text", GEMMA | SPARSE | dict(num_attention_heads=3, num_key_value_heads=3, num_global_key_value_heads=1, head_dim=6, global_head_dim=12, attention_k_eq_v=True, hidden_size_per_layer_input=0, final_logit_softcapping=5.0)),
    "gemma4_shared_keys": ("Gemma4Text", GEMMA | dict(num_attention_heads=5, num_key_value_heads=1, head_dim=8, global_head_dim=16, num_hidden_layers=6, layer_types=GEMMA["layer_types"] + ["sliding_attention", "full_attention"], num_kv_shared_layers=3, use_double_wide_mlp=True, hidden_size_per_layer_input=6, vocab_size_per_layer_input=64)),
    "gemma4_scaled_rope_untied": ("Gemma4Text", GEMMA | dict(num_attention_heads=4, num_key_value_heads=4, num_global_key_value_heads=2, head_dim=8, global_head_dim=8, attention_k_eq_v=True, hidden_size_per_layer_input=0, tie_word_embeddings=False, rope_parameters=dict(full_attention=PARTIAL | dict(factor=8.0), sliding_attention=LINEAR))),
    "gemma4_with_images": ("Gemma4", GEMMA | SPARSE | dict(pad_token_id=0, num_attention_heads=2, num_key_value_heads=1, head_dim=4, global_head_dim=8, attention_k_eq_v=False, hidden_size_per_layer_input=0, layer_types=None)),
    "gemma2_odd_heads": ("Gemma2", GEMMA | dict(num_attention_heads=3, num_key_value_heads=1, head_dim=8, query_pre_attn_scalar=10, attn_logit_softcapping=2.0, final_logit_softcapping=4.0)),
    "gemma2_scaled_rope_untied": ("Gemma2", GEMMA | dict(num_attention_heads=4, num_key_value_heads=2, head_dim=10, tie_word_embeddings=False, layer_types=None, rope_parameters=LINEAR, attn_logit_softcapping=1.5)),
    "gemma2_without_caps": ("Gemma2", GEMMA | dict(num_attention_heads=2, num_key_value_heads=2, head_dim=8, attention_bias=True, attn_logit_softcapping=None, final_logit_softcapping=None)),
}
# Must differ from the seeds of the cases, which are their positions in CASES.
FLOAT8_SEED = 21
# Side of the square blocks that share a scale. No dimension of the model is a multiple of it, so that the last blocks
# of rows and columns are partial.
BLOCK = 10


def small(family: str, options: dict) -> torch.nn.Module:
    if family in ("Gemma3", "Gemma4"):
        text = getattr(transformers, f"{family}TextConfig")(**(SHARED | options))
        vision = SIGLIP if family == "Gemma3" else GEMMA4_VISION
        config = getattr(transformers, f"{family}Config")(text_config=text.to_dict(), vision_config=vision)
        return getattr(transformers, f"{family}ForConditionalGeneration")(config)
    config = getattr(transformers, f"{family}Config")(**(SHARED | options))
    return getattr(transformers, f"{family.removesuffix('Text')}ForCausalLM")(config)


def save(model: torch.nn.Module, name: str) -> None:
    folder = FOLDER / name
    shard = "40KB" if name == "llama_biases" else "5GB"
    model.save_pretrained(folder, max_shard_size=shard)
    # Loaded in bfloat16, because `.to` would also round the rotary frequencies.
    rounded = type(model).from_pretrained(folder, dtype=torch.bfloat16).eval()
    record(folder, model, {"logits_bf16": rounded})


def record(folder: pathlib.Path, model: torch.nn.Module, variants: dict[str, torch.nn.Module]) -> None:
    size = model.config.get_text_config().vocab_size
    tokens = torch.randint(0, size, (1, TOKENS))
    with torch.no_grad():
        logits = {key: variant(tokens).logits[0].float().contiguous() for key, variant in ({"logits": model} | variants).items()}
    vocabulary = {f"<{token}>": token for token in range(size)}
    Tokenizer(WordLevel(vocabulary, unk_token="<0>")).save(str(folder / "tokenizer.json"))
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    save_file({"tokens": tokens[0]} | logits, folder / "reference.safetensors", versions)


def save_float8() -> None:
    """Saves a model in the format of DeepSeek-V3's repository: `float8_e4m3fn`, with a scale per square block in the
    tensor `NAME_scale_inv`. The reference is `transformers` with the dequantised weights."""
    folder = FOLDER / "deepseek_v3_float8"
    shutil.copytree(FOLDER / "deepseek_v3", folder)
    tensors, dequantised = load_file(folder / "model.safetensors"), {}
    for key, weight in list(tensors.items()):
        dequantised[key] = weight
        if weight.dim() != 2 or not key.endswith("_proj.weight"):
            continue
        rows, columns = weight.shape
        padded = torch.zeros(-(-rows // BLOCK) * BLOCK, -(-columns // BLOCK) * BLOCK)
        padded[:rows, :columns] = weight
        blocks = padded.view(padded.shape[0] // BLOCK, BLOCK, padded.shape[1] // BLOCK, BLOCK)
        scales = blocks.abs().amax(dim=(1, 3)) / 448
        quantised = (blocks / scales[:, None, :, None]).to(torch.float8_e4m3fn)
        dequantised[key] = (quantised.float() * scales[:, None, :, None]).view(padded.shape)[:rows, :columns].contiguous()
        tensors[key] = quantised.view(padded.shape)[:rows, :columns].contiguous()
        tensors[f"{key}_scale_inv"] = scales
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                                     "weight_block_size": [BLOCK, BLOCK]}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with tempfile.TemporaryDirectory() as plain:
        shutil.copy(FOLDER / "deepseek_v3" / "config.json", plain)
        save_file(dequantised, pathlib.Path(plain) / "model.safetensors", {"format": "pt"})
        load = transformers.DeepseekV3ForCausalLM.from_pretrained
        model = load(plain, dtype=torch.float32).eval()
        record(folder, model, {"logits_bf16": load(plain, dtype=torch.bfloat16).eval()})


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for seed, (name, (family, options)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        model = small(family, options).float().eval()
        # Norms are initialised to one and biases to zero, so an error in either would go unnoticed.
        for parameter in list(model.parameters()) + [
            buffer for key, buffer in model.named_buffers() if key.endswith(("correction_bias", "layer_scalar"))
        ]:
            parameter.data.add_(torch.randn_like(parameter) * 0.2)
        save(model, name)
    torch.manual_seed(FLOAT8_SEED)
    save_float8()


if __name__ == "__main__":
    main()
