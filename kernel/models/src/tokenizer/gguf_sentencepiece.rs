//! SentencePiece's byte-pair encoding from the metadata of a GGUF file.
//!
//! The file has the pieces and their scores, but no merges. As in `GemmaTokenizer` of
//! `transformers`, merges are derived from the pieces in the order of their scores, spaces are
//! written as "▁", and characters in no piece are encoded as bytes.

use std::cmp::Ordering;
use std::collections::HashMap;

use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::replace::Replace;
use tokenizers::{AddedToken, Tokenizer as HuggingFace};

use super::gguf::{CONTROL, USER_DEFINED, special_id, token_types, unsupported};
use super::tokenizer_error;
use crate::ModelError;
use crate::gguf::{Gguf, MetadataArray, MetadataValue};

const SCORES: &str = "tokenizer.ggml.scores";
const SPACE_PREFIX: &str = "tokenizer.ggml.add_space_prefix";
const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";
/// The `llama_token_type` of ordinary pieces.
const NORMAL: i64 = 1;
/// Bytes of a piece, so that a damaged file cannot take hours: every split of a piece is tried.
/// SentencePiece's own limit is 16 characters, and Gemma has some of 32.
const MAX_PIECE_BYTES: usize = 512;
/// SentencePiece's symbol for a space.
const SPACE: &str = "▁";

/// Builds the tokenizer from the pieces in `tokens`.
pub(super) fn tokenizer(file: &Gguf, tokens: &[String]) -> Result<HuggingFace, ModelError> {
    // If the field is missing, llama.cpp adds a space, which is not supported here.
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
    let mut inner = HuggingFace::new(byte_pair_encoding(file, tokens, types)?);
    inner.with_normalizer(Some(Replace::new(" ", SPACE).map_err(tokenizer_error)?));
    inner.with_decoder(Some(Sequence::new(vec![
        Replace::new(SPACE, " ").map_err(tokenizer_error)?.into(),
        ByteFallback::new().into(),
        Fuse::new().into(),
    ])));
    let of_type = |token_type: i64| {
        tokens
            .iter()
            .zip(types)
            .filter(move |&(_, &other)| other == token_type)
    };
    let special =
        of_type(CONTROL).map(|(token, _)| AddedToken::from(token.as_str(), true).normalized(false));
    inner.add_special_tokens(&special.collect::<Vec<_>>());
    // SentencePiece looks for these after it has replaced spaces: `normalized`.
    let added = of_type(USER_DEFINED)
        .map(|(token, _)| AddedToken::from(token.as_str(), false).normalized(true));
    inner.add_tokens(&added.collect::<Vec<_>>());
    Ok(inner)
}

fn byte_pair_encoding(file: &Gguf, tokens: &[String], types: &[i64]) -> Result<BPE, ModelError> {
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
    let scores: HashMap<&str, f64> = normal
        .map(|((token, _), &score)| (token.as_str(), score))
        .collect();
    if let Some(piece) = scores.keys().find(|piece| piece.len() > MAX_PIECE_BYTES) {
        let detail = format!(
            "a piece of {} bytes, expected at most {MAX_PIECE_BYTES}",
            piece.len()
        );
        return Err(file.wrong_metadata("tokenizer.ggml.tokens", detail));
    }
    let merges = merges(tokens, &scores);
    let builder = BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .byte_fallback(true)
        .fuse_unk(true);
    let unknown = special_id(file, UNKNOWN, tokens.len())?;
    let builder = match unknown {
        Some(unknown) => builder.unk_token(tokens[unknown as usize].clone()),
        None => builder,
    };
    builder.build().map_err(tokenizer_error)
}

/// All pairs of pieces whose concatenation is a piece, those with the highest score first.
fn merges(tokens: &[String], scores: &HashMap<&str, f64>) -> Vec<(String, String)> {
    let mut merges: Vec<(f64, &str, &str)> = Vec::new();
    for token in tokens {
        let Some(&score) = scores.get(token.as_str()) else {
            continue;
        };
        for (middle, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(middle);
            if scores.contains_key(left) && scores.contains_key(right) {
                merges.push((score, left, right));
            }
        }
    }
    // The sort is stable, so pairs with the same score stay in the order of the vocabulary.
    merges.sort_by(|one, other| other.0.partial_cmp(&one.0).unwrap_or(Ordering::Equal));
    let to_owned = |(_, left, right): (f64, &str, &str)| (left.to_owned(), right.to_owned());
    merges.into_iter().map(to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_are_sorted_by_descending_score() {
        let tokens = ["a", "b", "ab", "abb", "bb", "éa"].map(str::to_owned);
        let scores = [0.0, 0.0, -2.0, -3.0, -1.0, -4.0];
        let scores = tokens.iter().map(String::as_str).zip(scores).collect();
        let merges = merges(&tokens, &scores);
        let expected = [("b", "b"), ("a", "b"), ("a", "bb"), ("ab", "b")];
        let merges: Vec<_> = merges
            .iter()
            .map(|(left, right)| (left.as_str(), right.as_str()))
            .collect();
        assert_eq!(merges, expected);
    }
}
