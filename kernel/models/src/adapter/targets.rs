//! Which modules an adapter updates, with which rank and alpha.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fancy_regex::Regex;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::LoraConfig;
use crate::ModelError;

/// PEFT's name for [`Targets::AllLinear`].
const ALL_LINEAR: &str = "all-linear";
/// The module that [`Targets::AllLinear`] leaves out.
const OUTPUT_LAYER: &str = "lm_head";
/// The end of the name of a router (Qwen3-MoE, DeepSeek-V3).
const ROUTER: &str = ".mlp.gate";

/// The modules to adapt, with the meaning of PEFT's `target_modules`. As JSON a list or a string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Targets {
    /// Names of modules: whole, or the last parts of their Hugging Face name (`q_proj`). The
    /// experts of Gemma 4 are `experts.gate_up_proj` and `experts.down_proj`, and no others of these
    /// targets mean them, as in PEFT.
    Names(Vec<String>),
    /// A regular expression for the whole name.
    Pattern(String),
    /// Every linear map but the output layer.
    AllLinear,
}

impl<N: Into<String>, const COUNT: usize> From<[N; COUNT]> for Targets {
    fn from(names: [N; COUNT]) -> Self {
        Self::Names(names.map(Into::into).to_vec())
    }
}

impl From<&str> for Targets {
    fn from(text: &str) -> Self {
        match text.eq_ignore_ascii_case(ALL_LINEAR) {
            true => Self::AllLinear,
            false => Self::Pattern(text.to_owned()),
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

/// The expressions of a [`LoraConfig`], compiled.
pub(super) struct ModuleMatcher<'a> {
    config: &'a LoraConfig,
    targets: Option<Regex>,
    ranks: Vec<(Regex, i64)>,
    alphas: Vec<(Regex, f64)>,
}

impl<'a> ModuleMatcher<'a> {
    /// Fails where an expression is none.
    pub(super) fn new(config: &'a LoraConfig) -> Result<Self, ModelError> {
        config.check()?;
        let targets = match &config.targets {
            Targets::Pattern(pattern) => {
                Some(compile("targets", pattern, format!("^(?:{pattern})$"))?)
            }
            Targets::Names(_) | Targets::AllLinear => None,
        };
        Ok(Self {
            config,
            targets,
            ranks: patterns("rank_pattern", &config.rank_pattern)?,
            alphas: patterns("alpha_pattern", &config.alpha_pattern)?,
        })
    }

    /// Whether the module with this full name is to be adapted.
    pub(super) fn selects(&self, module: &str) -> Result<bool, ModelError> {
        match (&self.config.targets, &self.targets) {
            (Targets::Names(names), _) => Ok(names.iter().any(|name| name_selects(module, name))),
            _ if stack(module).is_some() => Ok(false),
            (Targets::Pattern(_), Some(pattern)) => is_match(pattern, module),
            (Targets::Pattern(_), None) => Ok(false),
            (Targets::AllLinear, _) => Ok(module != OUTPUT_LAYER),
        }
    }

    pub(super) fn rank(&self, module: &str) -> Result<i64, ModelError> {
        first_match(&self.ranks, &pattern_name(module), self.config.rank)
    }

    /// The factor of the update of this module, which has this rank.
    pub(super) fn scale(&self, module: &str, rank: i64) -> Result<f64, ModelError> {
        let alpha = first_match(&self.alphas, &pattern_name(module), self.config.alpha)?;
        Ok(self.config.scale(rank, alpha))
    }
}

/// Whether `name` in a list of targets means `module`. Experts that are no modules of their own in
/// `transformers` are meant by the name of the weight that has them all, or by their full name.
pub(super) fn name_selects(module: &str, name: &str) -> bool {
    match stack(module) {
        Some(stack) => module == name || ends_with(&stack, name),
        None => ends_with(module, name),
    }
}

/// The weight of all experts of a layer that `module` is a part of, in models that have one (Gemma
/// 4): `model.layers.0.experts.gate_up_proj` for `model.layers.0.experts.3.up_proj`. PEFT turns
/// names of Qwen3-MoE's and DeepSeek-V3's experts into those weights, but not of Gemma 4's.
fn stack(module: &str) -> Option<String> {
    let (layer, expert) = module.split_once(".experts.")?;
    if layer.ends_with(".mlp") {
        return None;
    }
    let weight = match expert.split_once('.')?.1 {
        "down_proj" => "down_proj",
        _ => "gate_up_proj",
    };
    Some(format!("{layer}.experts.{weight}"))
}

/// The name that patterns of ranks and alphas see. In `transformers` 5 a router is no linear map but
/// a module with a weight, which is what PEFT adapts and names.
pub(super) fn pattern_name(module: &str) -> Cow<'_, str> {
    match module.ends_with(ROUTER) {
        true => format!("{module}.weight").into(),
        false => module.into(),
    }
}

/// Whether `module` is `name`, or ends with it after a dot.
pub(super) fn ends_with(module: &str, name: &str) -> bool {
    let rest = module.strip_suffix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

fn patterns<V: Copy>(
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

/// Fails where the expression takes too long.
fn is_match(pattern: &Regex, module: &str) -> Result<bool, ModelError> {
    pattern.is_match(module).map_err(|_| ModelError::Option {
        option: "targets",
        found: pattern.as_str().to_owned(),
        expected: "an expression that is matched without much backtracking",
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
    fn names_are_whole_or_begin_after_a_dot() {
        assert!(selects(["q_proj"], QUERY) && selects([QUERY], QUERY));
        assert!(selects(["self_attn.q_proj"], QUERY));
        assert!(!selects(["proj"], QUERY) && !selects(["model.q_proj"], QUERY));
    }

    #[test]
    fn expressions_match_the_whole_name_and_may_look_ahead() {
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
    fn all_linear_leaves_out_the_output_layer() {
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
        assert_eq!(matcher.scale(QUERY, 2).unwrap(), 8.0);
        assert_eq!(matcher.scale("model.layers.1.mlp.up_proj", 8).unwrap(), 0.5);
        let stable = LoraConfig {
            rslora: true,
            ..config.clone()
        };
        assert_eq!(
            ModuleMatcher::new(&stable)
                .unwrap()
                .scale("lm_head", 16)
                .unwrap(),
            4.0
        );
    }

    #[test]
    fn experts_in_one_weight_are_meant_by_its_name_only() {
        let expert = "model.layers.0.experts.3.up_proj";
        assert!(!selects(["up_proj"], expert) && !selects("all-linear", expert));
        assert!(!selects(".*up_proj", expert) && !selects(["experts.down_proj"], expert));
        assert!(selects(["experts.gate_up_proj"], expert) && selects([expert], expert));
        let own = "model.layers.0.mlp.experts.3.up_proj";
        assert!(selects(["up_proj"], own) && selects("all-linear", own));
    }

    #[test]
    fn patterns_see_the_weight_of_a_router() {
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
        assert_eq!(matcher.scale(router, 8).unwrap(), 0.5);
    }

    #[test]
    fn json_is_that_of_peft() {
        for json in [r#"["q_proj","v_proj"]"#, r#"".*q_proj""#, r#""all-linear""#] {
            let targets: Targets = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&targets).unwrap(), json);
        }
        assert!(serde_json::from_str::<Targets>("3").is_err());
    }
}
