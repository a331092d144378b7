//! A tokenizer from the metadata of a GGUF file.

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::{AddedToken, Tokenizer as HuggingFace};

use super::{Tokenizer, refused};
use crate::ModelError;
use crate::gguf::{Array, Gguf, Value};

const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const MERGES: &str = "tokenizer.ggml.merges";
/// `llama_token_type`: tokens that are control, and tokens that the user added.
const CONTROL: i64 = 3;
const USER_DEFINED: i64 = 4;

impl Tokenizer {
    /// Builds the byte-level BPE tokenizer that the file describes.
    pub(crate) fn from_gguf(file: &Gguf) -> Result<Self, ModelError> {
        let kind = file.text("tokenizer.ggml.model")?;
        if kind != "gpt2" {
            return Err(unsupported(file, "tokenizer.ggml.model", kind, "gpt2"));
        }
        let tokens = file.strings(TOKENS)?;
        let mut inner = HuggingFace::new(byte_pairs(file, tokens)?);
        inner.with_pre_tokenizer(Some(pre_tokenizer(file)?));
        inner.with_decoder(Some(ByteLevel::default()));
        add_special_tokens(file, tokens, &mut inner)?;

        let id = |key: &str| special_id(file, key, tokens.len());
        let Some(end) = id("tokenizer.ggml.eos_token_id")? else {
            return Err(file.wrong_metadata("tokenizer.ggml.eos_token_id", "is missing".to_owned()));
        };
        let mut ends = vec![end];
        ends.extend(id("tokenizer.ggml.eot_token_id")?.filter(|&turn| turn != end));
        Ok(Self {
            inner,
            beginning: id("tokenizer.ggml.bos_token_id")?,
            end: ends,
        })
    }
}

fn byte_pairs(file: &Gguf, tokens: &[String]) -> Result<BPE, ModelError> {
    let mut vocabulary = Vocab::with_capacity(tokens.len());
    for (id, token) in (0_u32..).zip(tokens) {
        if vocabulary.insert(token.clone(), id).is_some() {
            return Err(file.wrong_metadata(TOKENS, format!("{token:?} occurs twice")));
        }
    }
    let mut merges = Vec::new();
    for merge in file.strings(MERGES)? {
        // Byte-level tokens contain no space: it is written as another letter.
        let Some((left, right)) = merge.split_once(' ') else {
            return Err(file.wrong_metadata(MERGES, format!("{merge:?} is not a pair")));
        };
        merges.push((left.to_owned(), right.to_owned()));
    }
    BPE::builder()
        .vocab_and_merges(vocabulary, merges)
        .build()
        .map_err(refused)
}

/// How text is cut before the merges, by the name that llama.cpp gives to it.
fn pre_tokenizer(file: &Gguf) -> Result<PreTokenizerWrapper, ModelError> {
    const KEY: &str = "tokenizer.ggml.pre";
    let byte_level = ByteLevel::new(false, true, true);
    match file.text(KEY)? {
        "gpt-2" | "default" => Ok(byte_level.into()),
        // SmolLM's own tokenizer: every digit is a token, then GPT-2's expression.
        "smollm" => Ok(Sequence::new(vec![Digits::new(true).into(), byte_level.into()]).into()),
        other => Err(unsupported(file, KEY, other, "smollm, gpt-2")),
    }
}

fn add_special_tokens(
    file: &Gguf,
    tokens: &[String],
    inner: &mut HuggingFace,
) -> Result<(), ModelError> {
    let Some(types) = file.get(TYPES) else {
        return Ok(());
    };
    let Value::Array(Array::Signed(types)) = types else {
        return Err(file.wrong_metadata(TYPES, "expected an array of integers".to_owned()));
    };
    if types.len() != tokens.len() {
        let detail = format!("{} entries for {} tokens", types.len(), tokens.len());
        return Err(file.wrong_metadata(TYPES, detail));
    }
    let of_type = |wanted: i64| -> Vec<AddedToken> {
        let matching = tokens
            .iter()
            .zip(types)
            .filter(|&(_, &kind)| kind == wanted);
        matching
            .map(|(token, _)| AddedToken::from(token.as_str(), wanted == CONTROL).normalized(false))
            .collect()
    };
    inner.add_special_tokens(&of_type(CONTROL));
    inner.add_tokens(&of_type(USER_DEFINED));
    Ok(())
}

fn special_id(file: &Gguf, key: &str, vocabulary: usize) -> Result<Option<u32>, ModelError> {
    if file.get(key).is_none() {
        return Ok(None);
    }
    let id = file.integer(key)?;
    match u32::try_from(id) {
        Ok(token) if (id as usize) < vocabulary => Ok(Some(token)),
        _ => Err(file.wrong_metadata(key, format!("{id} is not one of {vocabulary} tokens"))),
    }
}

fn unsupported(file: &Gguf, field: &str, found: &str, supported: &'static str) -> ModelError {
    ModelError::Unsupported {
        path: file.path().to_owned(),
        field: field.to_owned(),
        found: found.to_owned(),
        supported,
    }
}
