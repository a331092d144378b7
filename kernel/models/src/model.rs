//! The handle of a loaded model.

use std::sync::{Arc, Mutex};

use tch::{Device, Tensor};

use crate::adapter::{Adapter, Adapters};
use crate::chat::ChatTemplate;
use crate::checkpoint::{Checkpoint, FolderCheckpoint, GgufCheckpoint};
use crate::example::Example;
use crate::generation::Work;
use crate::gguf::{Gguf, Value};
use crate::locate::locate;
use crate::tokenizer::{Tokenizer, chat_template};
use crate::transformer::{Packed, Transformer, Weight};
use crate::{Chat, Configuration, ModelError, scoring};

/// A model on a device, with its tokenizer and chat template. Cloning is cheap; clones and
/// adapted handles share the weights.
#[derive(Clone)]
pub struct Model {
    base: Arc<Base>,
    adapter: Option<Adapter>,
}

struct Base {
    name: String,
    configuration: Configuration,
    transformer: Transformer,
    tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    device: Device,
    /// The last call for responses that ended early.
    stopped: Mutex<Option<Work>>,
}

impl Model {
    /// Loads the model named `smollm2` (`SmolLM2-135M-Instruct`), a `.gguf` file, a folder of
    /// safetensors files as Hugging Face lays them out, or the model of a Hugging Face name or one
    /// of the study's aliases (`qwen4b`) that is in the Hugging Face cache.
    ///
    /// Weights are held as `f32`, on the GPU if there is one.
    ///
    /// # Errors
    /// When there is no such model, or its file is damaged or of an unsupported kind.
    pub fn load(name_or_path: &str) -> Result<Self, ModelError> {
        let located = locate(name_or_path)?;
        let device = Device::cuda_if_available();
        // Declared before what borrows it.
        let file;
        let (source, tokenizer, template_source): (Box<dyn Checkpoint>, _, _);
        if located.path.is_dir() {
            source = Box::new(FolderCheckpoint::open(&located.path)?);
            tokenizer = Tokenizer::from_folder(&located.path)?;
            template_source = chat_template(&located.path)?;
        } else {
            file = Gguf::open(&located.path)?;
            source = Box::new(GgufCheckpoint::new(&file));
            source.configuration()?;
            tokenizer = Tokenizer::from_gguf(&file)?;
            template_source = match file.get("tokenizer.chat_template") {
                Some(Value::String(text)) => Some(text.clone()),
                _ => None,
            };
        }
        let template = match template_source {
            Some(text) => Some(template(&text, &tokenizer)?),
            None => None,
        };
        let configuration = source.configuration()?;
        let transformer = Transformer::load(source.as_ref(), &configuration, device)?;
        let base = Base {
            name: located.name,
            configuration,
            transformer,
            tokenizer,
            template,
            device,
            stopped: Mutex::new(None),
        };
        Ok(Self {
            base: Arc::new(base),
            adapter: None,
        })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.base.name
    }

    /// The model's shape.
    pub fn configuration(&self) -> &Configuration {
        &self.base.configuration
    }

    /// Where the weights are.
    pub fn device(&self) -> Device {
        self.base.device
    }

    /// The model's tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.base.tokenizer
    }

    /// The adapter of this handle, if it has one.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref()
    }

    /// Weights of the model, without an adapter.
    pub fn parameter_count(&self) -> u64 {
        self.base
            .transformer
            .weights()
            .map(|weight| weight.numel() as u64)
            .sum()
    }

    /// Bytes of the weights, those of an adapter included.
    pub fn memory_bytes(&self) -> u64 {
        let base: u64 = self.base.transformer.weights().map(Weight::bytes).sum();
        base + self.adapter.as_ref().map_or(0, Adapter::memory_bytes)
    }

    /// A handle over the same weights with this adapter in place of any other.
    ///
    /// # Errors
    /// When the adapter was made for a model of another shape.
    pub fn with_adapter(&self, adapter: &Adapter) -> Result<Self, ModelError> {
        adapter.check_fits(self.base.transformer.linear_maps())?;
        Ok(Self {
            base: self.base.clone(),
            adapter: Some(adapter.clone()),
        })
    }

    /// A handle over the same weights without an adapter.
    #[must_use]
    pub fn without_adapter(&self) -> Self {
        Self {
            base: self.base.clone(),
            adapter: None,
        }
    }

    /// The text that the model reads for `chat`; with `add_generation_prompt` it ends where the
    /// assistant's next message begins.
    ///
    /// # Errors
    /// When the model has no chat template or the template refuses the chat.
    pub fn render(&self, chat: &Chat, add_generation_prompt: bool) -> Result<String, ModelError> {
        match &self.base.template {
            Some(template) => template.render(chat, add_generation_prompt),
            None => {
                let detail = format!("{} has no chat template", self.base.name);
                Err(ModelError::Template { detail })
            }
        }
    }

    /// The logits of the token after each of `tokens`: `[tokens, vocabulary]`, `f32`.
    ///
    /// # Errors
    /// When there are no tokens, one is not in the vocabulary, or they exceed the context.
    pub fn logits(&self, tokens: &[u32]) -> Result<Tensor, ModelError> {
        let context = self.base.configuration.max_position_embeddings;
        if tokens.is_empty() || tokens.len() > context {
            return Err(ModelError::Context {
                index: 0,
                tokens: tokens.len(),
                context,
            });
        }
        self.check_tokens(tokens)?;
        let _no_grad = tch::no_grad_guard();
        let packed = Packed::new([tokens], self.base.device)?;
        let adapters = self.adapters();
        let output = self.base.transformer.sequences(&packed, &adapters)?;
        Ok(self.base.transformer.logits(&output, &adapters)?)
    }

    /// The natural log-probability of each token of the last assistant message and its end token,
    /// given what precedes it.
    ///
    /// # Errors
    /// When the chat does not end with an assistant message or exceeds the context.
    pub fn log_probabilities(&self, chat: &Chat) -> Result<Vec<f32>, ModelError> {
        Ok(self.score(std::slice::from_ref(chat))?.swap_remove(0))
    }

    /// exp(-mean of the log-probabilities of all response tokens of all chats).
    ///
    /// # Errors
    /// As [`Model::log_probabilities`]; also when there are no chats.
    pub fn perplexity(&self, chats: &[Chat]) -> Result<f64, ModelError> {
        if chats.is_empty() {
            let (found, expected) = ("0 chats".to_owned(), "at least one chat");
            return Err(ModelError::Option {
                option: "chats",
                found,
                expected,
            });
        }
        let scores = self.score(chats)?;
        let count = scores.iter().map(Vec::len).sum::<usize>();
        let sum: f64 = scores.iter().flatten().map(|&score| f64::from(score)).sum();
        Ok((-sum / count as f64).exp())
    }

    /// [`Model::log_probabilities`] of many chats at once.
    ///
    /// # Errors
    /// As [`Model::log_probabilities`].
    pub fn score(&self, chats: &[Chat]) -> Result<Vec<Vec<f32>>, ModelError> {
        scoring::log_probabilities(
            &self.base.transformer,
            &self.adapters(),
            &self.examples(chats)?,
            self.base.device,
        )
    }

    /// The same adapter for every token of a pass.
    fn adapters(&self) -> Adapters<'_> {
        self.adapter.as_ref().into()
    }

    /// Fails if a token is not in the vocabulary.
    pub(crate) fn check_tokens(&self, tokens: &[u32]) -> Result<(), ModelError> {
        let vocabulary = self.base.configuration.vocab_size;
        match tokens.iter().find(|&&token| i64::from(token) >= vocabulary) {
            Some(&token) => Err(ModelError::Token { token, vocabulary }),
            None => Ok(()),
        }
    }

    pub(crate) fn shares_weights_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.base, &other.base)
    }

    pub(crate) fn stopped_work(&self) -> &Mutex<Option<Work>> {
        &self.base.stopped
    }

    pub(crate) fn transformer(&self) -> &Transformer {
        &self.base.transformer
    }

    pub(crate) fn examples(&self, chats: &[Chat]) -> Result<Vec<Example>, ModelError> {
        chats
            .iter()
            .enumerate()
            .map(|(index, chat)| self.example(index, chat))
            .collect()
    }

    /// The tokens of a chat that ends with an assistant message, up to that message's end token.
    fn example(&self, index: usize, chat: &Chat) -> Result<Example, ModelError> {
        let wrong = |detail: &str| ModelError::Chat {
            index,
            detail: detail.to_owned(),
        };
        if chat.response().is_none() {
            return Err(wrong("the last message is not the assistant's"));
        }
        let prompt = self.render(&chat.prompt(), true)?;
        let whole = self.render(chat, false)?;
        let Some(response) = whole.strip_prefix(&prompt) else {
            return Err(wrong("the template changes what precedes the response"));
        };
        // Cut where generation would cut: the prompt and the response are tokenized apart.
        let mut tokens = self.base.tokenizer.encode(&prompt)?;
        let prompt = tokens.len();
        tokens.extend(self.base.tokenizer.encode(response)?);
        let is_end = |token: &u32| self.base.tokenizer.end().contains(token);
        let Some(end) = tokens[prompt..].iter().rposition(is_end) else {
            return Err(wrong(
                "the template does not end the response with an end token",
            ));
        };
        // What the template writes after the end token, a line break, is not the model's.
        tokens.truncate(prompt + end + 1);
        if prompt == 0 {
            return Err(wrong("nothing precedes the response"));
        }
        let context = self.base.configuration.max_position_embeddings;
        if tokens.len() > context {
            return Err(ModelError::Context {
                index,
                tokens: tokens.len(),
                context,
            });
        }
        Ok(Example { tokens, prompt })
    }

    /// Tokens that fit into the context after a prompt.
    pub(crate) fn room_after(&self, index: usize, prompt: usize) -> Result<usize, ModelError> {
        let context = self.base.configuration.max_position_embeddings;
        if prompt == 0 {
            let detail = "the template renders it as nothing".to_owned();
            return Err(ModelError::Chat { index, detail });
        }
        if prompt >= context {
            return Err(ModelError::Context {
                index,
                tokens: prompt,
                context,
            });
        }
        Ok(context - prompt)
    }
}

fn template(source: &str, tokenizer: &Tokenizer) -> Result<ChatTemplate, ModelError> {
    let text = |token: Option<u32>| token.and_then(|token| tokenizer.token_text(token));
    let beginning = text(tokenizer.beginning()).unwrap_or_default();
    let end = text(tokenizer.end().first().copied()).unwrap_or_default();
    ChatTemplate::new(source, beginning, end)
}

impl std::fmt::Display for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            formatter,
            "{} ({}, {:.1} million parameters, {:.0} MB on {:?})",
            self.name(),
            self.configuration().model_type,
            self.parameter_count() as f64 / 1e6,
            self.memory_bytes() as f64 / 1e6,
            self.device(),
        )?;
        match &self.adapter {
            Some(adapter) => write!(formatter, " + {adapter}"),
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "Model({self})")
    }
}
