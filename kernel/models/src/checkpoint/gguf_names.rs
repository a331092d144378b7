//! Translates names of tensors between Hugging Face and llama.cpp (`gguf/tensor_mapping.py`).

/// Parts of names that all architectures have in common: Hugging Face's, llama.cpp's.
const COMMON_PARTS: [(&str, &str); 14] = [
    ("model.embed_tokens.", "token_embd."),
    ("model.norm.", "output_norm."),
    ("lm_head.", "output."),
    ("model.layers.", "blk."),
    ("self_attn.q_proj.", "attn_q."),
    ("self_attn.k_proj.", "attn_k."),
    ("self_attn.v_proj.", "attn_v."),
    ("self_attn.o_proj.", "attn_output."),
    ("self_attn.q_norm.", "attn_q_norm."),
    ("self_attn.k_norm.", "attn_k_norm."),
    ("mlp.gate_proj.", "ffn_gate."),
    ("mlp.up_proj.", "ffn_up."),
    ("mlp.down_proj.", "ffn_down."),
    ("input_layernorm.", "attn_norm."),
];
/// Llama has one norm around the MLP, before it, which Hugging Face names after what precedes it.
const PLAIN_NORMS: [(&str, &str); 1] = [("post_attention_layernorm.", "ffn_norm.")];
/// Gemma has norms after attention, before the MLP and after it.
const SANDWICH_NORMS: [(&str, &str); 3] = [
    ("post_attention_layernorm.", "post_attention_norm."),
    ("pre_feedforward_layernorm.", "ffn_norm."),
    ("post_feedforward_layernorm.", "post_ffw_norm."),
];

fn parts(sandwich_norms: bool) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let norms: &[_] = if sandwich_norms {
        &SANDWICH_NORMS
    } else {
        &PLAIN_NORMS
    };
    COMMON_PARTS.iter().chain(norms)
}

/// llama.cpp's name: `blk.3.attn_q.weight` for `model.layers.3.self_attn.q_proj.weight`.
pub(super) fn gguf_name(name: &str, sandwich_norms: bool) -> String {
    parts(sandwich_norms).fold(name.to_owned(), |name, (hugging_face, gguf)| {
        name.replace(hugging_face, gguf)
    })
}

/// Hugging Face's name: `model.layers.3.self_attn.q_proj.weight` for `blk.3.attn_q.weight`.
pub(super) fn hugging_face_name(name: &str, sandwich_norms: bool) -> String {
    // A part counts only at the start of a component: "attn_output." ends with "output.", which is
    // llama.cpp's name of "lm_head.".
    let has_part = |part: &str| name.starts_with(part) || name.contains(&format!(".{part}"));
    let present = parts(sandwich_norms).filter(|(_, gguf)| has_part(gguf));
    present.fold(name.to_owned(), |name, (hugging_face, gguf)| {
        name.replace(gguf, hugging_face)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_translated_in_both_directions() {
        for (hugging_face, gguf) in [
            (
                "model.layers.3.self_attn.q_proj.weight",
                "blk.3.attn_q.weight",
            ),
            (
                "model.layers.12.post_attention_layernorm.weight",
                "blk.12.ffn_norm.weight",
            ),
            (
                "model.layers.0.input_layernorm.weight",
                "blk.0.attn_norm.weight",
            ),
            ("model.embed_tokens.weight", "token_embd.weight"),
            ("model.norm.weight", "output_norm.weight"),
            ("lm_head.weight", "output.weight"),
            (
                "model.layers.0.self_attn.o_proj.weight",
                "blk.0.attn_output.weight",
            ),
        ] {
            assert_eq!(gguf_name(hugging_face, false), gguf);
            assert_eq!(hugging_face_name(gguf, false), hugging_face);
        }
    }

    #[test]
    fn sandwich_norms_have_names_of_their_own() {
        for (hugging_face, gguf) in [
            ("post_attention_layernorm", "post_attention_norm"),
            ("pre_feedforward_layernorm", "ffn_norm"),
            ("post_feedforward_layernorm", "post_ffw_norm"),
            ("self_attn.q_norm", "attn_q_norm"),
        ] {
            let hugging_face = format!("model.layers.3.{hugging_face}.weight");
            let gguf = format!("blk.3.{gguf}.weight");
            assert_eq!(gguf_name(&hugging_face, true), gguf);
            assert_eq!(hugging_face_name(&gguf, true), hugging_face);
        }
    }
}
