"""Saves small randomly initialised models with `transformers` and records their logits, for
kernel/models/tests/architectures.rs: float32, CPU, three configurations of each architecture.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.24.0 safetensors numpy
    venv/bin/python tests/reference/architectures.py
"""

import pathlib
import shutil

import torch
import transformers
from safetensors.torch import save_file
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
}


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    for seed, (name, (family, options)) in enumerate(CASES.items()):
        torch.manual_seed(seed)
        config = getattr(transformers, f"{family}Config")(**(SHARED | options))
        model = getattr(transformers, f"{family}ForCausalLM")(config).float().eval()
        # Initial norms are all one and biases zero: a mistake in either would not show.
        for parameter in list(model.parameters()) + [
            buffer for key, buffer in model.named_buffers() if key.endswith("correction_bias")
        ]:
            parameter.data.add_(torch.randn_like(parameter) * 0.2)
        tokens = torch.randint(0, config.vocab_size, (1, TOKENS))
        with torch.no_grad():
            logits = model(tokens).logits[0]
        folder = FOLDER / name
        shard = "40KB" if name == "llama_biases" else "5GB"
        model.save_pretrained(folder, max_shard_size=shard)
        vocabulary = {f"<{token}>": token for token in range(config.vocab_size)}
        Tokenizer(WordLevel(vocabulary, unk_token="<0>")).save(str(folder / "tokenizer.json"))
        versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        save_file({"tokens": tokens[0], "logits": logits.contiguous()}, folder / "reference.safetensors", versions)


if __name__ == "__main__":
    main()
