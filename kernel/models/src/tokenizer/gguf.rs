//! The tokenizer that the metadata of a GGUF file describes.

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer as HuggingFace};

use super::{Tokenizer, gguf_sentencepiece, tokenizer_error};
use crate::ModelError;
use crate::gguf::{Gguf, MetadataArray, MetadataValue};

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
/// The `llama_token_type` of special tokens.
pub(super) const CONTROL: i64 = 3;
/// The `llama_token_type` of added tokens that are not special.
pub(super) const USER_DEFINED: i64 = 4;

impl Tokenizer {
    /// Builds the tokenizer: byte-level BPE (`gpt2`) or SentencePiece's BPE (`llama`).
    pub(crate) fn from_gguf(file: &Gguf) -> Result<Self, ModelError> {
        let tokens = file.strings(TOKENS)?;
        let inner = match file.string("tokenizer.ggml.model")? {
            "gpt2" => {
                let mut inner = HuggingFace::new(byte_level_bpe(file, tokens)?);
                inner.with_pre_tokenizer(Some(pre_tokenizer(file)?));
                inner.with_decoder(Some(ByteLevel::default()));
                let (special, added) = special_tokens(file, tokens)?;
                inner.add_special_tokens(&special);
                inner.add_tokens(&added);
                inner
            }
            "llama" => gguf_sentencepiece::tokenizer(file, tokens)?,
            kind => {
                let supported = "gpt2, llama";
                return Err(unsupported(file, "tokenizer.ggml.model", kind, supported));
            }
        };

        let id = |key: &str| special_id(file, key, tokens.len());
        let Some(eos) = id("tokenizer.ggml.eos_token_id")? else {
            return Err(file.wrong_metadata("tokenizer.ggml.eos_token_id", "is missing".to_owned()));
        };
        let mut eos_token_ids = vec![eos];
        let end_of_turn = match id("tokenizer.ggml.eot_token_id")? {
            Some(id) => Some(id),
            // The files of Gemma do not name it. llama.cpp, too, finds it by its text.
            None => inner.token_to_id("<end_of_turn>"),
        };
        eos_token_ids.extend(end_of_turn.filter(|&id| id != eos));
        Ok(Self {
            inner,
            bos_token_id: id("tokenizer.ggml.bos_token_id")?,
            eos_token_ids,
        })
    }
}

fn byte_level_bpe(file: &Gguf, tokens: &[String]) -> Result<BPE, ModelError> {
    let mut vocabulary = Vocab::with_capacity(tokens.len());
    for (id, token) in (0_u32..).zip(tokens) {
        if vocabulary.insert(token.clone(), id).is_some() {
            return Err(file.wrong_metadata(TOKENS, format!("{token:?} occurs twice")));
        }
    }
    let mut merges = Vec::new();
    for merge in file.strings(MERGES)? {
        // The space between the two is unambiguous: byte-level tokens write a space as `Ġ`.
        let Some((left, right)) = merge.split_once(' ') else {
            return Err(file.wrong_metadata(MERGES, format!("{merge:?} is not a pair")));
        };
        merges.push((left.to_owned(), right.to_owned()));
    }
    BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .build()
        .map_err(tokenizer_error)
}

/// The pre-tokenizer, which the file gives by llama.cpp's name for it.
fn pre_tokenizer(file: &Gguf) -> Result<PreTokenizerWrapper, ModelError> {
    const KEY: &str = "tokenizer.ggml.pre";
    let byte_level = ByteLevel::new(false, true, true);
    match file.string(KEY)? {
        "gpt-2" | "default" => Ok(byte_level.into()),
        // As in SmolLM's own `tokenizer.json`: single digits, then GPT-2's regular expression.
        "smollm" => Ok(Sequence::new(vec![Digits::new(true).into(), byte_level.into()]).into()),
        other => Err(unsupported(file, KEY, other, "smollm, gpt-2")),
    }
}

/// The special tokens, and the added tokens that are not special.
fn special_tokens(
    file: &Gguf,
    tokens: &[String],
) -> Result<(Vec<AddedToken>, Vec<AddedToken>), ModelError> {
    let Some(types) = token_types(file, tokens)? else {
        return Ok((vec![], vec![]));
    };
    let of_type = |token_type: i64| -> Vec<AddedToken> {
        let matching = tokens
            .iter()
            .zip(types)
            .filter(|&(_, &other)| other == token_type);
        matching
            .map(|(token, _)| {
                AddedToken::from(token.as_str(), token_type == CONTROL).normalized(false)
            })
            .collect()
    };
    Ok((of_type(CONTROL), of_type(USER_DEFINED)))
}

/// The `llama_token_type` of every token, if the file has them.
pub(super) fn token_types<'a>(
    file: &'a Gguf,
    tokens: &[String],
) -> Result<Option<&'a [i64]>, ModelError> {
    let Some(types) = file.get(TYPES) else {
        return Ok(None);
    };
    let MetadataValue::Array(MetadataArray::Signed(types)) = types else {
        return Err(file.wrong_metadata(TYPES, "expected an array of integers".to_owned()));
    };
    if types.len() != tokens.len() {
        let detail = format!("{} entries for {} tokens", types.len(), tokens.len());
        return Err(file.wrong_metadata(TYPES, detail));
    }
    Ok(Some(types))
}

/// The special token that the field `key` names, if the file has it.
pub(super) fn special_id(
    file: &Gguf,
    key: &str,
    vocabulary: usize,
) -> Result<Option<u32>, ModelError> {
    if file.get(key).is_none() {
        return Ok(None);
    }
    let id = file.integer(key)?;
    match u32::try_from(id) {
        Ok(token) if (id as usize) < vocabulary => Ok(Some(token)),
        _ => Err(file.wrong_metadata(key, format!("{id} is not one of {vocabulary} tokens"))),
    }
}

pub(super) fn unsupported(
    file: &Gguf,
    field: &str,
    found: &str,
    supported: &'static str,
) -> ModelError {
    ModelError::Unsupported {
        path: file.path().to_owned(),
        field: field.to_owned(),
        found: found.to_owned(),
        supported,
    }
}
