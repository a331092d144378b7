"""Writes small random Gemma models as GGUF files, and records the logits and tokens of their references.

Weights, names and metadata are those that llama.cpp's converter would write (`convert_hf_to_gguf.py`, classes
`Gemma2Model` and `Gemma3Model`), with tensor names from the tables of the `gguf` package. `transformers` computes the
logits, and `sentencepiece` the tokens; kernel/models/tests/gemma_gguf.rs compares with both.

The tokenizer is trained on the text of the other scripts in this folder. When they change, recording gives another
tokenizer, so always commit all files of tests/fixtures/gemma_gguf together.

    python3 -m venv venv
    venv/bin/pip install torch==2.11.0 transformers==5.24.0 gguf==0.19.0 sentencepiece==0.2.1 numpy
    venv/bin/python tests/reference/gemma_gguf.py
"""

import json
import pathlib
import tempfile

import gguf
import sentencepiece
import torch
import transformers

ROOT = pathlib.Path(__file__).parent.parent
FOLDER = ROOT / "fixtures" / "gemma_gguf"
TOKENS = 40
SHARED = dict(hidden_size=24, intermediate_size=32, num_attention_heads=3, num_key_value_heads=1, head_dim=8,
              query_pre_attn_scalar=8, sliding_window=8, max_position_embeddings=128)
# Enough layers for one without a sliding window: the sixth of Gemma 3, the second of Gemma 2.
LINEAR = dict(full_attention=dict(rope_type="linear", rope_theta=1e6, factor=8.0),
              sliding_attention=dict(rope_type="default", rope_theta=1e4))
CASES = {
    "gemma3": ("Gemma3Text", gguf.MODEL_ARCH.GEMMA3, dict(num_hidden_layers=7, rope_parameters=LINEAR)),
    "gemma2": ("Gemma2", gguf.MODEL_ARCH.GEMMA2, dict(num_hidden_layers=3, attn_logit_softcapping=2.0, final_logit_softcapping=4.0)),
}
TEMPLATE = ("{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
            "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}")
TEXTS = ["Hello, world!", " leading and  double   spaces ", "naïve café 🐦 ☃", "12345.67 x 8", "\n\n\ttabs\nand lines\n\n\n",
         "<start_of_turn>user\nhi<end_of_turn>\n", "", " ", "▁ is a letter too", "aaaaaaaaaaaaaaaa", "the theory of the thing"]


def tokenizer(folder: pathlib.Path) -> sentencepiece.SentencePieceProcessor:
    """Trains a small tokenizer with the options of Gemma's own."""
    text = folder / "text"
    paths = sorted(ROOT.glob("reference/*.py"))
    text.write_text("\n".join(path.read_text() for path in paths if path.name != pathlib.Path(__file__).name))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), model_type="bpe", vocab_size=600, byte_fallback=True,
        split_digits=True, add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity",
        allow_whitespace_only_pieces=True, pad_id=0, eos_id=1, bos_id=2, unk_id=3, num_threads=1, minloglevel=2,
        user_defined_symbols=["<start_of_turn>", "<end_of_turn>", "\n", "\n\n", "▁▁"])
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


def add_vocabulary(writer: gguf.GGUFWriter, pieces: sentencepiece.SentencePieceProcessor) -> None:
    count = pieces.vocab_size()
    types = []
    for token in range(count):
        kinds = {pieces.is_unknown: gguf.TokenType.UNKNOWN, pieces.is_control: gguf.TokenType.CONTROL,
                 pieces.is_unused: gguf.TokenType.UNUSED, pieces.is_byte: gguf.TokenType.BYTE}
        kind = next((kind for test, kind in kinds.items() if test(token)), gguf.TokenType.NORMAL)
        turn = pieces.id_to_piece(token) in ("<start_of_turn>", "<end_of_turn>")
        if kind == gguf.TokenType.NORMAL and (turn or pieces.id_to_piece(token) in ("\n", "\n\n", "▁▁")):
            kind = gguf.TokenType.CONTROL if turn else gguf.TokenType.USER_DEFINED
        types.append(kind)
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([pieces.id_to_piece(token).encode() for token in range(count)])
    writer.add_token_scores([pieces.get_score(token) for token in range(count)])
    writer.add_token_types(types)
    writer.add_bos_token_id(pieces.bos_id())
    writer.add_eos_token_id(pieces.eos_id())
    writer.add_unk_token_id(pieces.unk_id())
    writer.add_pad_token_id(pieces.pad_id())
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE)


def write(name: str, architecture: gguf.MODEL_ARCH, model: torch.nn.Module, pieces: sentencepiece.SentencePieceProcessor) -> None:
    config = model.config
    writer = gguf.GGUFWriter(FOLDER / f"{name}.gguf", name)
    writer.add_name("small")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    writer.add_sliding_window(config.sliding_window)
    if name == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    else:
        rope = config.rope_parameters["full_attention"]
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    add_vocabulary(writer, pieces)
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight":
            continue
        # As llama.cpp's converter does: its norms multiply by the weight, those of Gemma by 1 + weight.
        if key.endswith("norm.weight"):
            tensor = tensor + 1
        writer.add_tensor(names.get_name(key, try_suffixes=(".weight", ".bias")), tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        pieces = tokenizer(pathlib.Path(folder))
        reference = {"texts": [{"text": text, "tokens": pieces.encode(text)} for text in TEXTS], "models": {}}
        for seed, (name, (family, architecture, options)) in enumerate(CASES.items()):
            torch.manual_seed(seed)
            config = getattr(transformers, f"{family}Config")(vocab_size=pieces.vocab_size(), **(SHARED | options))
            model = getattr(transformers, f"{family.removesuffix('Text')}ForCausalLM")(config).float().eval()
            for parameter in model.parameters():
                parameter.data.add_(torch.randn_like(parameter) * 0.2)
            write(name, architecture, model, pieces)
            tokens = torch.randint(0, pieces.vocab_size(), (1, TOKENS))
            with torch.no_grad():
                logits = model(tokens).logits[0, -3:]
            reference["models"][name] = {"tokens": tokens[0].tolist(), "last_logits": logits.tolist()}
    versions = {"transformers": transformers.__version__, "sentencepiece": sentencepiece.__version__}
    (FOLDER / "reference.json").write_text(json.dumps(reference | {"versions": versions}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
