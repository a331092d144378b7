//! SentencePiece's byte-pair encoding from the metadata of a GGUF file, which has the pieces with
//! their scores.
//!
//! It becomes what `transformers` makes of it (`GemmaTokenizer`): merges in the order of the scores,
//! spaces as "▁", bytes for characters that no piece has.

use std::cmp::Ordering;
use std::collections::HashMap;

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::replace::Replace;
use tokenizers::{AddedToken, Tokenizer as HuggingFace};

use super::gguf::{CONTROL, USER_DEFINED, special_id, token_types, unsupported};
use super::refused;
use crate::ModelError;
use crate::gguf::{Gguf, MetadataArray, MetadataValue};

const SCORES: &str = "tokenizer.ggml.scores";
const SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";
const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";
/// `llama_token_type`: a piece that text may become.
const NORMAL: i64 = 1;
/// Bytes of a piece: SentencePiece's own limit is 16 characters, Gemma has some of 32.
const LONGEST_PIECE: usize = 512;
/// What a space becomes.
const SPACE: &str = "▁";

pub(super) fn tokenizer(file: &Gguf, tokens: &[String]) -> Result<HuggingFace, ModelError> {
    // Where nothing is said, llama.cpp adds a space.
    match file.get(SPACE_PREFIX) {
        Some(MetadataValue::Bool(false)) => {}
        other => {
            let found = other.map_or("missing".to_owned(), |value| format!("{value:?}"));
            return Err(unsupported(file, SPACE_PREFIX, &found, "false"));
        }
    }
    let types = token_types(file, tokens)?;
    let types = types
        .ok_or_else(|| file.wrong_metadata("tokenizer.ggml.token_type", "is missing".to_owned()))?;
    let mut inner = HuggingFace::new(pairs(file, tokens, types)?);
    inner.with_normalizer(Some(Replace::new(" ", SPACE).map_err(refused)?));
    inner.with_decoder(Some(Sequence::new(vec![
        Replace::new(SPACE, " ").map_err(refused)?.into(),
        ByteFallback::new().into(),
        Fuse::new().into(),
    ])));
    let of_type = |wanted: i64| {
        tokens
            .iter()
            .zip(types)
            .filter(move |&(_, &kind)| kind == wanted)
    };
    let special =
        of_type(CONTROL).map(|(token, _)| AddedToken::from(token.as_str(), true).normalized(false));
    inner.add_special_tokens(&special.collect::<Vec<_>>());
    // SentencePiece looks for these in text whose spaces are pieces' already.
    let added = of_type(USER_DEFINED)
        .map(|(token, _)| AddedToken::from(token.as_str(), false).normalized(true));
    inner.add_tokens(&added.collect::<Vec<_>>());
    Ok(inner)
}

fn pairs(file: &Gguf, tokens: &[String], types: &[i64]) -> Result<BPE, ModelError> {
    let scores = match file.get(SCORES) {
        Some(MetadataValue::Array(MetadataArray::Float(scores)))
            if scores.len() == tokens.len() =>
        {
            scores
        }
        _ => {
            let detail = format!("expected {} floats", tokens.len());
            return Err(file.wrong_metadata(SCORES, detail));
        }
    };
    let mut vocabulary = Vocab::with_capacity(tokens.len());
    for (id, token) in (0_u32..).zip(tokens) {
        if vocabulary.insert(token.clone(), id).is_some() {
            let detail = format!("{token:?} occurs twice");
            return Err(file.wrong_metadata("tokenizer.ggml.tokens", detail));
        }
    }
    let normal = tokens
        .iter()
        .zip(types)
        .zip(scores)
        .filter(|((_, kind), _)| **kind == NORMAL);
    let scored: HashMap<&str, f64> = normal
        .map(|((token, _), &score)| (token.as_str(), score))
        .collect();
    if let Some(piece) = scored.keys().find(|piece| piece.len() > LONGEST_PIECE) {
        let detail = format!(
            "a piece of {} bytes, expected at most {LONGEST_PIECE}",
            piece.len()
        );
        return Err(file.wrong_metadata("tokenizer.ggml.tokens", detail));
    }
    let merges = merges(tokens, &scored);
    let builder = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .byte_fallback(true)
        .fuse_unk(true);
    let unknown = special_id(file, UNKNOWN, tokens.len())?;
    let builder = match unknown {
        Some(unknown) => builder.unk_token(tokens[unknown as usize].clone()),
        None => builder,
    };
    builder.build().map_err(refused)
}

/// The pairs of pieces that make a piece, those of the highest score first.
fn merges(tokens: &[String], scored: &HashMap<&str, f64>) -> Vec<(String, String)> {
    let mut merges: Vec<(f64, &str, &str)> = Vec::new();
    for token in tokens {
        let Some(&score) = scored.get(token.as_str()) else {
            continue;
        };
        for (middle, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(middle);
            if scored.contains_key(left) && scored.contains_key(right) {
                merges.push((score, left, right));
            }
        }
    }
    // Stable: of one score in the order of the vocabulary.
    merges.sort_by(|one, other| other.0.partial_cmp(&one.0).unwrap_or(Ordering::Equal));
    let owned = |(_, left, right): (f64, &str, &str)| (left.to_owned(), right.to_owned());
    merges.into_iter().map(owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_are_in_the_order_of_the_scores() {
        let tokens = ["a", "b", "ab", "abb", "bb", "éa"].map(str::to_owned);
        let scores = [0.0, 0.0, -2.0, -3.0, -1.0, -4.0];
        let scored = tokens.iter().map(String::as_str).zip(scores).collect();
        let merges = merges(&tokens, &scored);
        let expected = [("b", "b"), ("a", "b"), ("a", "bb"), ("ab", "b")];
        let merges: Vec<_> = merges
            .iter()
            .map(|(left, right)| (left.as_str(), right.as_str()))
            .collect();
        assert_eq!(merges, expected);
    }
}
