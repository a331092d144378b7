//! Which modules an adapter updates, and with which rank and alpha.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fancy_regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::LoraConfig;
use crate::ModelError;

/// PEFT's name for [`Targets::AllLinear`].
const ALL_LINEAR: &str = "all-linear";
/// The module that [`Targets::AllLinear`] excludes.
const OUTPUT_LAYER: &str = "lm_head";
/// The end of the name of a router in Qwen3-MoE and DeepSeek-V3.
const ROUTER: &str = ".mlp.gate";

/// The modules to adapt, with the meaning of PEFT's `target_modules`. In JSON, a list or a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// Hugging Face names of modules, whole or their last parts (`q_proj`). As in PEFT, the experts
    /// of Gemma 4 are selected only by `experts.gate_up_proj` and `experts.down_proj`, and by no
    /// pattern.
    Names(Vec<String>),
    /// A regular expression that matches the whole name.
    Pattern(String),
    /// Every linear module except the output layer.
    AllLinear,
}

impl<N: Into<String>, const COUNT: usize> From<[N; COUNT]> for Targets {
    fn from(names: [N; COUNT]) -> Self {
        Self::Names(names.map(Into::into).to_vec())
    }
}

impl From<&str> for Targets {
    fn from(text: &str) -> Self {
        if text.eq_ignore_ascii_case(ALL_LINEAR) {
            Self::AllLinear
        } else {
            Self::Pattern(text.to_owned())
        }
    }
}

impl Serialize for Targets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Names(names) => names.serialize(serializer),
            Self::Pattern(pattern) => pattern.serialize(serializer),
            Self::AllLinear => ALL_LINEAR.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Targets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor)
    }
}

struct Visitor;

impl<'de> de::Visitor<'de> for Visitor {
    type Value = Targets;

    fn expecting(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.write_str("a list of names, a regular expression or \"all-linear\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Targets, E> {
        Ok(text.into())
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut names: A) -> Result<Targets, A::Error> {
        let mut all = Vec::new();
        while let Some(name) = names.next_element()? {
            all.push(name);
        }
        Ok(Targets::Names(all))
    }
}

/// Answers which modules a [`LoraConfig`] selects, with its expressions compiled.
pub(super) struct ModuleMatcher<'a> {
    config: &'a LoraConfig,
    /// Present for [`Targets::Pattern`].
    pattern: Option<Regex>,
    ranks: Vec<(Regex, i64)>,
    alphas: Vec<(Regex, f64)>,
}

impl<'a> ModuleMatcher<'a> {
    /// Fails if an option is invalid or an expression does not compile.
    pub(super) fn new(config: &'a LoraConfig) -> Result<Self, ModelError> {
        config.check()?;
        let pattern = match &config.targets {
            Targets::Pattern(pattern) => {
                Some(compile("targets", pattern, format!("^(?:{pattern})$"))?)
            }
            Targets::Names(_) | Targets::AllLinear => None,
        };
        Ok(Self {
            config,
            pattern,
            ranks: compile_keys("rank_pattern", &config.rank_pattern)?,
            alphas: compile_keys("alpha_pattern", &config.alpha_pattern)?,
        })
    }

    /// Whether the module with this full name is to be adapted.
    pub(super) fn selects(&self, module: &str) -> Result<bool, ModelError> {
        match (&self.config.targets, &self.pattern) {
            (Targets::Names(names), _) => Ok(names.iter().any(|name| name_selects(name, module))),
            _ if stacked_tensor(module).is_some() => Ok(false),
            (Targets::Pattern(_), Some(pattern)) => is_match(pattern, module),
            (Targets::Pattern(_), None) => Ok(false),
            (Targets::AllLinear, _) => Ok(module != OUTPUT_LAYER),
        }
    }

    /// The rank of the update of this module.
    pub(super) fn rank(&self, module: &str) -> Result<i64, ModelError> {
        first_match(&self.ranks, &pattern_name(module), self.config.rank)
    }

    /// The factor of the update of this module if it has this rank.
    pub(super) fn scaling(&self, module: &str, rank: i64) -> Result<f64, ModelError> {
        let alpha = first_match(&self.alphas, &pattern_name(module), self.config.alpha)?;
        Ok(self.config.scaling(rank, alpha))
    }
}

/// Whether `name` in a list of targets selects `module`.
///
/// An expert whose weights are stacked with those of other experts in `transformers` is selected by
/// the name of the stacked tensor, or by its own full name.
pub(super) fn name_selects(name: &str, module: &str) -> bool {
    match stacked_tensor(module) {
        Some(tensor) => module == name || ends_with(&tensor, name),
        None => ends_with(module, name),
    }
}

/// The tensor in which the weight of `module` is stacked with those of other experts, for Gemma 4:
/// `model.layers.0.experts.gate_up_proj` for `model.layers.0.experts.3.up_proj`.
///
/// `transformers` 5 stacks the experts of Qwen3-MoE and DeepSeek-V3 too, but there PEFT translates
/// the names of the single modules, so that they select as usual.
fn stacked_tensor(module: &str) -> Option<String> {
    let (layer, expert) = module.split_once(".experts.")?;
    if layer.ends_with(".mlp") {
        return None;
    }
    let tensor = match expert.split_once('.')?.1 {
        "down_proj" => "down_proj",
        _ => "gate_up_proj",
    };
    Some(format!("{layer}.experts.{tensor}"))
}

/// The name against which the patterns of ranks and alphas are matched. A router has `.weight` at
/// its end, because in `transformers` 5 it is not a linear module, and PEFT adapts its tensor.
pub(super) fn pattern_name(module: &str) -> Cow<'_, str> {
    if module.ends_with(ROUTER) {
        format!("{module}.weight").into()
    } else {
        module.into()
    }
}

/// Whether `module` is `name`, or ends with a dot and `name`.
pub(super) fn ends_with(module: &str, name: &str) -> bool {
    let rest = module.strip_suffix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Compiles the keys of `rank_pattern` or `alpha_pattern`.
fn compile_keys<V: Copy>(
    option: &'static str,
    patterns: &BTreeMap<String, V>,
) -> Result<Vec<(Regex, V)>, ModelError> {
    let compiled = patterns.iter().map(|(pattern, &value)| {
        let whole = format!(r"^(?:.*\.)?(?:{pattern})$");
        Ok((compile(option, pattern, whole)?, value))
    });
    compiled.collect()
}

fn compile(option: &'static str, pattern: &str, whole: String) -> Result<Regex, ModelError> {
    Regex::new(&whole).map_err(|_| ModelError::Option {
        option,
        found: pattern.to_owned(),
        expected: "a regular expression",
    })
}

/// The value of the first pattern that matches `module`, or `otherwise`.
fn first_match<V: Copy>(
    patterns: &[(Regex, V)],
    module: &str,
    otherwise: V,
) -> Result<V, ModelError> {
    for (pattern, value) in patterns {
        if is_match(pattern, module)? {
            return Ok(*value);
        }
    }
    Ok(otherwise)
}

/// Fails if the expression backtracks for too long.
fn is_match(pattern: &Regex, module: &str) -> Result<bool, ModelError> {
    pattern.is_match(module).map_err(|_| ModelError::Option {
        option: "targets",
        found: pattern.as_str().to_owned(),
        expected: "an expression that needs little backtracking",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUERY: &str = "model.layers.0.self_attn.q_proj";

    fn selects(targets: impl Into<Targets>, module: &str) -> bool {
        let config = LoraConfig {
            targets: targets.into(),
            ..LoraConfig::default()
        };
        ModuleMatcher::new(&config)
            .unwrap()
            .selects(module)
            .unwrap()
    }

    #[test]
    fn names_match_whole_or_after_a_dot() {
        assert!(selects(["q_proj"], QUERY) && selects([QUERY], QUERY));
        assert!(selects(["self_attn.q_proj"], QUERY));
        assert!(!selects(["proj"], QUERY) && !selects(["model.q_proj"], QUERY));
    }

    #[test]
    fn expressions_match_the_whole_name_and_support_lookahead() {
        assert!(selects(r".*\.(q|v)_proj", QUERY) && !selects("q_proj", QUERY));
        assert!(!selects(r"^(?!.*self_attn).*proj", QUERY));
        let config = LoraConfig {
            targets: "(".into(),
            ..LoraConfig::default()
        };
        let error = ModuleMatcher::new(&config).err().unwrap().to_string();
        assert_eq!(error, "targets is (, expected a regular expression");
    }

    #[test]
    fn all_linear_excludes_the_output_layer() {
        assert!(selects("All-Linear", QUERY) && !selects("all-linear", "lm_head"));
    }

    #[test]
    fn patterns_override_rank_and_alpha() {
        let config = LoraConfig {
            rank: 8,
            alpha: 16.0,
            rank_pattern: [("q_proj".to_owned(), 2)].into(),
            alpha_pattern: [(r"layers\.1\..*".to_owned(), 4.0)].into(),
            ..LoraConfig::default()
        };
        let matcher = ModuleMatcher::new(&config).unwrap();
        assert_eq!(matcher.rank(QUERY).unwrap(), 2);
        assert_eq!(matcher.rank("model.layers.0.self_attn.xq_proj").unwrap(), 8);
        assert_eq!(matcher.scaling(QUERY, 2).unwrap(), 8.0);
        assert_eq!(
            matcher.scaling("model.layers.1.mlp.up_proj", 8).unwrap(),
            0.5
        );
        let stable = LoraConfig {
            rslora: true,
            ..config.clone()
        };
        assert_eq!(
            ModuleMatcher::new(&stable)
                .unwrap()
                .scaling("lm_head", 16)
                .unwrap(),
            4.0
        );
    }

    #[test]
    fn stacked_experts_are_selected_by_the_name_of_their_tensor_only() {
        let expert = "model.layers.0.experts.3.up_proj";
        assert!(!selects(["up_proj"], expert) && !selects("all-linear", expert));
        assert!(!selects(".*up_proj", expert) && !selects(["experts.down_proj"], expert));
        assert!(selects(["experts.gate_up_proj"], expert) && selects([expert], expert));
        let own = "model.layers.0.mlp.experts.3.up_proj";
        assert!(selects(["up_proj"], own) && selects("all-linear", own));
    }

    #[test]
    fn patterns_match_the_weight_of_a_router() {
        let config = LoraConfig {
            rank: 8,
            targets: ["gate"].into(),
            rank_pattern: [("gate".to_owned(), 2)].into(),
            alpha_pattern: [("gate.weight".to_owned(), 4.0)].into(),
            ..LoraConfig::default()
        };
        let matcher = ModuleMatcher::new(&config).unwrap();
        let router = "model.layers.0.mlp.gate";
        assert!(matcher.selects(router).unwrap());
        assert!(!matcher.selects("model.layers.0.mlp.gate_proj").unwrap());
        assert_eq!(matcher.rank(router).unwrap(), 8);
        assert_eq!(matcher.scaling(router, 8).unwrap(), 0.5);
    }

    #[test]
    fn json_is_the_same_as_in_peft() {
        for json in [r#"["q_proj","v_proj"]"#, r#"".*q_proj""#, r#""all-linear""#] {
            let targets: Targets = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&targets).unwrap(), json);
        }
        assert!(serde_json::from_str::<Targets>("3").is_err());
    }
}
