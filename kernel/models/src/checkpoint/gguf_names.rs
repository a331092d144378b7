//! Names of tensors: Hugging Face's and llama.cpp's.

/// Parts that all architectures have in common.
const PARTS: [(&str, &str); 14] = [
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
/// The norms around the MLP: Llama has one before it, which it names after what precedes it.
const PLAIN_NORMS: [(&str, &str); 1] = [("post_attention_layernorm.", "ffn_norm.")];
const SANDWICH_NORMS: [(&str, &str); 3] = [
    ("post_attention_layernorm.", "post_attention_norm."),
    ("pre_feedforward_layernorm.", "ffn_norm."),
    ("post_feedforward_layernorm.", "post_ffw_norm."),
];

fn parts(sandwich: bool) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let norms: &[_] = match sandwich {
        true => &SANDWICH_NORMS,
        false => &PLAIN_NORMS,
    };
    PARTS.iter().chain(norms)
}

/// `model.layers.3.self_attn.q_proj.weight` is `blk.3.attn_q.weight`, and so on; `sandwich` is for
/// models with norms before and after.
pub(super) fn gguf_name(name: &str, sandwich: bool) -> String {
    parts(sandwich).fold(name.to_owned(), |name, (ours, theirs)| {
        name.replace(ours, theirs)
    })
}

/// The other way round.
pub(super) fn hugging_face_name(name: &str, sandwich: bool) -> String {
    // "output." is the end of "attn_output.", which "lm_head." is not to replace.
    let begins = |part: &str| name.starts_with(part) || name.contains(&format!(".{part}"));
    let known = parts(sandwich).filter(|(_, theirs)| begins(theirs));
    known.fold(name.to_owned(), |name, (ours, theirs)| {
        name.replace(theirs, ours)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_translated() {
        for (ours, theirs) in [
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
            assert_eq!(gguf_name(ours, false), theirs);
            assert_eq!(hugging_face_name(theirs, false), ours);
        }
    }

    #[test]
    fn norms_around_a_block_have_names_of_their_own() {
        for (ours, theirs) in [
            ("post_attention_layernorm", "post_attention_norm"),
            ("pre_feedforward_layernorm", "ffn_norm"),
            ("post_feedforward_layernorm", "post_ffw_norm"),
            ("self_attn.q_norm", "attn_q_norm"),
        ] {
            let ours = format!("model.layers.3.{ours}.weight");
            let theirs = format!("blk.3.{theirs}.weight");
            assert_eq!(gguf_name(&ours, true), theirs);
            assert_eq!(hugging_face_name(&theirs, true), ours);
        }
    }
}
