//! The text models of Gemma 2, Gemma 3 and Gemma 4 in `config.json`.
//!
//! Fields and defaults are those of `Gemma2Config`, `Gemma3TextConfig` and `Gemma4TextConfig` in
//! `transformers` 5.24. Published files rely on many of the defaults.

use serde_json::Value;

use super::config_json::ConfigJson;
use crate::configuration::{
    Activation, MixtureOfExperts, PerLayerInput, RopeScaling, Scoring, SlidingAttention, Variations,
};
use crate::{Configuration, ModelError};

/// The last of every six layers has full attention, if the file has no `layer_types`.
const SLIDING_WINDOW_PATTERN: i64 = 6;
/// In Gemma 2 it is the last of every two.
const GEMMA2_SLIDING_WINDOW_PATTERN: i64 = 2;

/// Defaults in which the generations differ.
struct Defaults {
    vocab_size: i64,
    num_hidden_layers: i64,
    sliding_window: i64,
}

impl ConfigJson<'_> {
    /// The text model of any of the three generations.
    pub(super) fn gemma(&self, model_type: &str) -> Result<Configuration, ModelError> {
        let is_tied = self.flag("tie_word_embeddings", true)?;
        match (model_type, self.get("text_config")) {
            ("gemma2", _) => self.gemma2(is_tied),
            ("gemma3_text", _) => self.gemma3_text(is_tied),
            ("gemma4_text", _) => self.gemma4_text(is_tied),
            ("gemma3", Some(text)) => {
                let text = Self::new(self.path, text);
                // `Gemma3ForConditionalGeneration` ignores the field, which `Gemma3ForCausalLM` obeys.
                if text.get("final_logit_softcapping").is_some() {
                    return Err(text.unsupported("final_logit_softcapping", "null"));
                }
                text.gemma3_text(is_tied)
            }
            ("gemma4", Some(text)) => Self::new(self.path, text).gemma4_text(is_tied),
            _ => Err(self.unsupported("text_config", "the configuration of a text model")),
        }
    }

    fn gemma2(&self, is_tied: bool) -> Result<Configuration, ModelError> {
        if self.flag("use_bidirectional_attention", false)? {
            return Err(self.unsupported("use_bidirectional_attention", "false"));
        }
        let defaults = Defaults {
            vocab_size: 256_000,
            num_hidden_layers: 26,
            sliding_window: 4096,
        };
        let mut configuration = self.gemma_text("gemma2", &defaults, is_tied)?;
        let context = self.optional_size("max_position_embeddings")?;
        configuration.max_position_embeddings = context.unwrap_or(8192) as usize;
        configuration.qk_norm = false;
        let rope = self.rope()?;
        (configuration.rope_theta, configuration.rope_scaling) = rope;
        // Here null means no cap, while an absent field means the default.
        let cap = |name: &str, default| {
            if self.is_null(name) {
                return Ok::<_, ModelError>(None);
            }
            Ok(Some(self.optional_float(name)?.unwrap_or(default)))
        };
        let scalar = self.optional_float("query_pre_attn_scalar")?;
        let variations = &mut configuration.variations;
        variations.zero_centered_norms = true;
        variations.attention_scaling = Some(scalar.unwrap_or(256.0).powf(-0.5));
        variations.attn_logit_softcapping = cap("attn_logit_softcapping", 50.0)?;
        variations.final_logit_softcapping = cap("final_logit_softcapping", 30.0)?;
        let mut layers = self.sliding_layers(
            configuration.num_hidden_layers,
            Some(GEMMA2_SLIDING_WINDOW_PATTERN),
        )?;
        if self.is_null("sliding_window") {
            layers.clear();
        }
        let heads = (configuration.head_dim, configuration.num_key_value_heads);
        self.set_sliding_attention(&mut configuration, layers, heads, rope, &defaults)?;
        Ok(configuration)
    }

    fn gemma3_text(&self, is_tied: bool) -> Result<Configuration, ModelError> {
        if self.flag("use_bidirectional_attention", false)? {
            return Err(self.unsupported("use_bidirectional_attention", "false"));
        }
        // `Gemma3Attention` ignores this field, so its meaning for a model that sets it is unclear.
        if self.get("attn_logit_softcapping").is_some() {
            return Err(self.unsupported("attn_logit_softcapping", "null"));
        }
        let defaults = Defaults {
            vocab_size: 262_208,
            num_hidden_layers: 26,
            sliding_window: 4096,
        };
        let mut configuration = self.gemma_text("gemma3_text", &defaults, is_tied)?;
        let scalar = self.optional_float("query_pre_attn_scalar")?;
        let head_dim = configuration.head_dim;
        let [full, sliding] = self.gemma3_ropes()?;
        (configuration.rope_theta, configuration.rope_scaling) = full;
        configuration.variations.zero_centered_norms = true;
        configuration.variations.attention_scaling = Some(scalar.unwrap_or(256.0).powf(-0.5));
        // `transformers` 5.24 does not read the private `_sliding_window_pattern`.
        let pattern = self.optional_size("sliding_window_pattern")?;
        let layers = self.sliding_layers(configuration.num_hidden_layers, pattern)?;
        let heads = (head_dim, configuration.num_key_value_heads);
        self.set_sliding_attention(&mut configuration, layers, heads, sliding, &defaults)?;
        Ok(configuration)
    }

    fn gemma4_text(&self, is_tied: bool) -> Result<Configuration, ModelError> {
        if self.text("use_bidirectional_attention") == Some("all") {
            return Err(self.unsupported("use_bidirectional_attention", "null, \"vision\""));
        }
        let defaults = Defaults {
            vocab_size: 262_144,
            num_hidden_layers: 30,
            sliding_window: 512,
        };
        let mut configuration = self.gemma_text("gemma4_text", &defaults, is_tied)?;
        let mut layers = self.sliding_layers(configuration.num_hidden_layers, None)?;
        // `Gemma4TextConfig` gives the last layer full attention, whatever the file says.
        layers.retain(|&layer| layer != configuration.num_hidden_layers - 1);

        self.check_one_rope()?;
        let ropes = self.get("rope_parameters").unwrap_or(&Value::Null);
        let (rope_theta, rope_scaling) = match ropes.get("full_attention") {
            Some(nested) => self.rope_parameters(nested, 1e6)?,
            None => {
                let scaling = RopeScaling::Proportional {
                    partial_rotary_factor: 0.25,
                    factor: 1.0,
                };
                (1e6, scaling)
            }
        };
        let sliding_rope = match ropes.get("sliding_attention") {
            Some(nested) => self.rope_parameters(nested, 1e4)?,
            None => (1e4, RopeScaling::Default),
        };
        let sliding_heads = (configuration.head_dim, configuration.num_key_value_heads);
        let (head_dim, num_key_value_heads) = self.full_attention_heads(&configuration, &layers)?;
        let shared = self.optional_count("num_kv_shared_layers")?.unwrap_or(0);
        let size = self.optional_count("hidden_size_per_layer_input")?;
        let vocab_size = self.optional_size("vocab_size_per_layer_input")?;
        let per_layer_input = PerLayerInput {
            vocab_size_per_layer_input: vocab_size.unwrap_or(defaults.vocab_size),
            hidden_size_per_layer_input: size.unwrap_or(256),
        };
        if per_layer_input.hidden_size_per_layer_input > 0
            && per_layer_input.vocab_size_per_layer_input < configuration.vocab_size
        {
            return Err(self.unsupported("vocab_size_per_layer_input", "at least vocab_size"));
        }
        configuration = Configuration {
            head_dim,
            num_key_value_heads,
            rope_theta,
            rope_scaling,
            moe: self.gemma_experts(configuration.num_hidden_layers)?,
            variations: Variations {
                attention_scaling: Some(1.0),
                v_norm: true,
                attention_k_eq_v: self.flag("attention_k_eq_v", false)?,
                num_kv_shared_layers: shared,
                use_double_wide_mlp: self.flag("use_double_wide_mlp", false)?,
                per_layer_input: (per_layer_input.hidden_size_per_layer_input > 0)
                    .then_some(per_layer_input),
                layer_scalar: true,
                ..configuration.variations
            },
            ..configuration
        };
        self.set_sliding_attention(
            &mut configuration,
            layers,
            sliding_heads,
            sliding_rope,
            &defaults,
        )?;
        let has_no_source = |layer: i64| configuration.kv_source_layer(layer).is_none();
        if (0..configuration.num_hidden_layers).any(has_no_source) {
            let supported =
                "fewer, so that a layer of each attention type has keys and values of its own";
            return Err(self.unsupported("num_kv_shared_layers", supported));
        }
        Ok(configuration)
    }

    /// The fields that the generations have in common.
    fn gemma_text(
        &self,
        model_type: &str,
        defaults: &Defaults,
        is_tied: bool,
    ) -> Result<Configuration, ModelError> {
        let activation = self.text("hidden_activation");
        if activation.is_some_and(|activation| activation != "gelu_pytorch_tanh") {
            return Err(self.unsupported("hidden_activation", "gelu_pytorch_tanh"));
        }
        let size = |name: &str, default| {
            let size = self.optional_size(name)?;
            Ok::<i64, ModelError>(size.unwrap_or(default))
        };
        let num_attention_heads = size("num_attention_heads", 8)?;
        let num_key_value_heads = size("num_key_value_heads", 4)?;
        if num_attention_heads % num_key_value_heads != 0 {
            return Err(self.unsupported("num_key_value_heads", "divisors of num_attention_heads"));
        }
        let head_dim = size("head_dim", 256)?;
        if head_dim % 2 != 0 {
            return Err(self.unsupported("head_dim", "even sizes"));
        }
        let num_hidden_layers = size("num_hidden_layers", defaults.num_hidden_layers)?;
        self.check_layers(num_hidden_layers)?;
        Ok(Configuration {
            model_type: model_type.to_owned(),
            vocab_size: size("vocab_size", defaults.vocab_size)?,
            hidden_size: size("hidden_size", 2304)?,
            intermediate_size: size("intermediate_size", 9216)?,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            max_position_embeddings: size("max_position_embeddings", 131_072)? as usize,
            rms_norm_eps: self.optional_float("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta: 1e6,
            rope_scaling: RopeScaling::Default,
            tie_word_embeddings: self.flag("tie_word_embeddings", is_tied)?,
            attention_bias: self.flag("attention_bias", false)?,
            mlp_bias: false,
            qk_norm: true,
            latent_attention: None,
            moe: None,
            variations: Variations {
                hidden_activation: Activation::GeluTanh,
                sandwich_norms: true,
                scaled_embedding: true,
                final_logit_softcapping: self.optional_float("final_logit_softcapping")?,
                ..Variations::default()
            },
        })
    }

    /// Fails if both `rope_parameters` and its predecessor `rope_scaling` are set, whose combination
    /// depends on the version of `transformers`.
    fn check_one_rope(&self) -> Result<(), ModelError> {
        match (self.get("rope_parameters"), self.get("rope_scaling")) {
            (Some(_), Some(_)) => {
                Err(self.unsupported("rope_scaling", "null beside rope_parameters"))
            }
            _ => Ok(()),
        }
    }

    /// Base and scaling of the rotary frequencies of full-attention layers, then of sliding-window
    /// layers, from `rope_parameters` or from the fields that preceded it in `transformers` 4.
    fn gemma3_ropes(&self) -> Result<[(f64, RopeScaling); 2], ModelError> {
        self.check_one_rope()?;
        let nested = self.get("rope_parameters").unwrap_or(&Value::Null);
        let full_base = self.optional_float("rope_theta")?.unwrap_or(1e6);
        let sliding_base = self.optional_float("rope_local_base_freq")?.unwrap_or(1e4);
        let full = nested
            .get("full_attention")
            .or_else(|| self.get("rope_scaling"));
        let sliding = nested.get("sliding_attention");
        Ok([
            self.rope_parameters(full.unwrap_or(&Value::Null), full_base)?,
            self.rope_parameters(sliding.unwrap_or(&Value::Null), sliding_base)?,
        ])
    }

    /// The layers with sliding-window attention; one in `pattern` has full attention, unless the file
    /// names the types.
    fn sliding_layers(&self, layers: i64, pattern: Option<i64>) -> Result<Vec<i64>, ModelError> {
        const FIELD: &str = "layer_types";
        let Some(types) = self.get(FIELD) else {
            let pattern = pattern.unwrap_or(SLIDING_WINDOW_PATTERN);
            return Ok((0..layers)
                .filter(|layer| (layer + 1) % pattern != 0)
                .collect());
        };
        let supported = "sliding_attention or full_attention for each layer";
        let types = types
            .as_array()
            .filter(|types| types.len() as i64 == layers);
        let types = types.ok_or_else(|| self.unsupported(FIELD, supported))?;
        let mut sliding = Vec::new();
        for (layer, kind) in types.iter().enumerate() {
            match kind.as_str() {
                Some("sliding_attention") => sliding.push(layer as i64),
                Some("full_attention") => {}
                _ => return Err(self.unsupported(FIELD, supported)),
            }
        }
        Ok(sliding)
    }

    /// Sets the sliding-window attention of `layers`, with their heads and rotary frequencies.
    fn set_sliding_attention(
        &self,
        configuration: &mut Configuration,
        layers: Vec<i64>,
        (head_dim, num_key_value_heads): (i64, i64),
        (rope_theta, rope_scaling): (f64, RopeScaling),
        defaults: &Defaults,
    ) -> Result<(), ModelError> {
        let window = self.optional_size("sliding_window")?;
        configuration.variations.sliding_attention =
            (!layers.is_empty()).then_some(SlidingAttention {
                sliding_window: window.unwrap_or(defaults.sliding_window),
                layers,
                head_dim,
                num_key_value_heads,
                rope_theta,
                rope_scaling,
            });
        Ok(())
    }

    /// Size and number of the key and value heads of full-attention layers, from `per_layer_config`
    /// or from the fields that published files have in its place.
    fn full_attention_heads(
        &self,
        configuration: &Configuration,
        sliding_layers: &[i64],
    ) -> Result<(i64, i64), ModelError> {
        const FIELD: &str = "per_layer_config";
        let heads = |fields: &ConfigJson, size: &str, count: &str| {
            let size = fields.optional_size(size)?;
            Ok::<_, ModelError>((size, fields.optional_size(count)?))
        };
        let (head_dim, count) = match self.get(FIELD).and_then(Value::as_object) {
            None => {
                let (size, mut count) =
                    heads(self, "global_head_dim", "num_global_key_value_heads")?;
                if !self.flag("attention_k_eq_v", false)? {
                    count = None;
                }
                (Some(size.unwrap_or(512)), count)
            }
            Some(layers) => {
                let mut found = None;
                for layer in 0..configuration.num_hidden_layers {
                    let own = layers.get(&layer.to_string()).unwrap_or(&Value::Null);
                    let fields = Self::new(self.path, own);
                    let own = heads(&fields, "head_dim", "num_key_value_heads")?;
                    let expected = if sliding_layers.contains(&layer) {
                        (None, None)
                    } else {
                        *found.get_or_insert(own)
                    };
                    if own != expected {
                        let supported = "the same for all layers with full_attention, no others";
                        return Err(self.unsupported(FIELD, supported));
                    }
                }
                found.unwrap_or((None, None))
            }
        };
        let head_dim = head_dim.unwrap_or(configuration.head_dim);
        let count = count.unwrap_or(configuration.num_key_value_heads);
        if head_dim % 2 != 0 || configuration.num_attention_heads % count != 0 {
            let supported = "heads of even size, divisors of num_attention_heads";
            return Err(self.unsupported(FIELD, supported));
        }
        Ok((head_dim, count))
    }

    /// Gemma 4's experts.
    fn gemma_experts(&self, layers: i64) -> Result<Option<MixtureOfExperts>, ModelError> {
        if !self.flag("enable_moe_block", false)? {
            return Ok(None);
        }
        let (count, per_token) = (self.size("num_experts")?, self.size("top_k_experts")?);
        if per_token > count {
            return Err(self.unsupported("top_k_experts", "at most num_experts"));
        }
        Ok(Some(MixtureOfExperts {
            num_experts: count,
            num_experts_per_tok: per_token,
            moe_intermediate_size: self.size("moe_intermediate_size")?,
            shared_expert_intermediate_size: 0,
            norm_topk_prob: true,
            scoring: Scoring::NormedSoftmax,
            layers: (0..layers).collect(),
            beside_mlp: true,
        }))
    }
}
