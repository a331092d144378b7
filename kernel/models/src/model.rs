//! The handle of a loaded model.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tch::{Device, Tensor};

use crate::adapter::{Adapter, Adapters, LoraConfig};
use crate::chat::{self, ChatTemplate, Ending, Sources, SpecialTokens, Variables};
use crate::checkpoint::{Checkpoint, FolderCheckpoint, GgufCheckpoint, RandomCheckpoint};
use crate::example::Example;
use crate::generation::Work;
use crate::gguf::Gguf;
use crate::load::LoadOptions;
use crate::locate::{Located, locate};
use crate::tokenizer::Tokenizer;
use crate::transformer::{Packed, Transformer, Weight};
use crate::{Chat, Configuration, ModelError, Precision, scoring};

/// A model on a device, with its tokenizer and chat template. Cloning is cheap; clones and
/// adapted handles share the weights.
#[derive(Clone)]
pub struct Model {
    base: Arc<Base>,
    adapter: Option<Adapter>,
    rendering: Rendering,
}

/// How a handle makes text of chats.
#[derive(Clone, Default)]
struct Rendering {
    template: Option<Arc<ChatTemplate>>,
    variables: Variables,
}

struct Base {
    name: String,
    configuration: Configuration,
    transformer: Transformer,
    tokenizer: Tokenizer,
    templates: Sources,
    device: Device,
    /// The last call for responses that ended early.
    stopped: Mutex<Option<Work>>,
}

impl Model {
    /// Loads the model named `smollm2` (`SmolLM2-135M-Instruct`), a `.gguf` file, a folder of
    /// safetensors files as Hugging Face lays them out, or the model of a Hugging Face name or one
    /// of the study's aliases (`qwen4b`), which is downloaded if it is not in the Hugging Face
    /// cache.
    ///
    /// It goes to the GPU if there is one, where weights stay what they are in the file; on the
    /// CPU they become `f32`. [`Model::load_with`] chooses otherwise.
    ///
    /// # Errors
    /// When there is no such model, its file is damaged or of an unsupported kind, or no device
    /// has room for it.
    pub fn load(name_or_path: &str) -> Result<Self, ModelError> {
        Self::load_with(name_or_path, &LoadOptions::default())
    }

    /// [`Model::load`] to the devices and in the precision of `options`.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn load_with(name_or_path: &str, options: &LoadOptions) -> Result<Self, ModelError> {
        let located = locate(name_or_path)?;
        // Declared before what borrows it.
        let file;
        let (source, tokenizer, templates): (Box<dyn Checkpoint>, _, _);
        if located.path.is_dir() {
            source = Box::new(FolderCheckpoint::open(&located.path)?);
            source.configuration()?;
            tokenizer = Tokenizer::from_folder(&located.path)?;
            templates = chat::of_folder(&located.path)?;
        } else {
            file = Gguf::open(&located.path)?;
            source = Box::new(GgufCheckpoint::new(&file));
            source.configuration()?;
            tokenizer = Tokenizer::from_gguf(&file)?;
            templates = chat::of_gguf(&file)?;
        }
        Self::assemble(&located, source.as_ref(), tokenizer, templates, options)
    }

    /// A model with the configuration, tokenizer and chat template of `folder` and random weights:
    /// as fast as the real one, and no wiser than a die. For measuring speed without a download.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn with_random_weights(folder: &Path, options: &LoadOptions) -> Result<Self, ModelError> {
        let located = Located {
            name: "random weights".to_owned(),
            path: folder.to_owned(),
            thinking: None,
        };
        let source = RandomCheckpoint::open(folder)?;
        let tokenizer = Tokenizer::from_folder(folder)?;
        let templates = chat::of_folder(folder)?;
        Self::assemble(&located, &source, tokenizer, templates, options)
    }

    fn assemble(
        located: &Located,
        source: &dyn Checkpoint,
        tokenizer: Tokenizer,
        templates: Sources,
        options: &LoadOptions,
    ) -> Result<Self, ModelError> {
        let template = match templates.get(chat::DEFAULT) {
            Some(text) => Some(Arc::new(template(text, &tokenizer)?)),
            None => None,
        };
        let mut variables = Variables::new();
        if let Some(thinking) = located.thinking {
            set_thinking(&mut variables, thinking);
        }
        let configuration = source.configuration()?;
        let placement = options.placement(&located.name, source, &configuration)?;
        let transformer = Transformer::load(source, &configuration, &placement)?;
        let base = Base {
            name: located.name.clone(),
            configuration,
            transformer,
            tokenizer,
            templates,
            device: placement.first(),
            stopped: Mutex::new(None),
        };
        Ok(Self {
            base: Arc::new(base),
            adapter: None,
            rendering: Rendering {
                template,
                variables,
            },
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

    /// Where the weights are; of several devices, the one where computations begin and end.
    pub fn device(&self) -> Device {
        self.base.device
    }

    /// The precision of the weights.
    pub fn precision(&self) -> Precision {
        Precision::of(self.base.transformer.kind())
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

    /// Bytes of the weights on each device, in the order of the computation, without an adapter.
    pub fn memory_by_device(&self) -> Vec<(Device, u64)> {
        let mut devices: Vec<(Device, u64)> = vec![(self.base.device, 0)];
        for weight in self.base.transformer.weights() {
            let device = weight.device();
            match devices.iter_mut().find(|(known, _)| *known == device) {
                Some((_, bytes)) => *bytes += weight.bytes(),
                None => devices.push((device, weight.bytes())),
            }
        }
        if let Some((_, bytes)) = devices.iter_mut().find(|(known, _)| *known == Device::Cpu) {
            *bytes += self.base.transformer.block_bytes();
        }
        devices
    }

    /// Bytes of the weights, those of an adapter included.
    pub fn memory_bytes(&self) -> u64 {
        let base: u64 = self.base.transformer.weights().map(Weight::bytes).sum();
        let blocks = self.base.transformer.block_bytes();
        base + blocks + self.adapter.as_ref().map_or(0, Adapter::memory_bytes)
    }

    /// A handle over the same weights with this adapter in place of any other.
    ///
    /// # Errors
    /// When the adapter was made for a model of another shape.
    pub fn with_adapter(&self, adapter: &Adapter) -> Result<Self, ModelError> {
        adapter.check_fits(self.base.transformer.linear_maps())?;
        Ok(Self {
            adapter: Some(adapter.clone()),
            ..self.clone()
        })
    }

    /// A new adapter for this model that changes nothing yet: where training begins.
    ///
    /// # Errors
    /// When the options make no sense or name modules that the model does not have.
    pub fn untrained_adapter(&self, lora: &LoraConfig, seed: u64) -> Result<Adapter, ModelError> {
        let maps = self.base.transformer.linear_maps();
        Adapter::initialise(self.name(), maps, lora, seed)
    }

    /// A handle over the same weights with the adapter in `folder`, which PEFT or
    /// [`Adapter::save`] wrote.
    ///
    /// # Errors
    /// When the folder holds no adapter, one for a model of another shape, or one that PEFT would
    /// compute in a way that is not supported.
    pub fn load_adapter(&self, folder: impl AsRef<Path>) -> Result<Self, ModelError> {
        let adapter = Adapter::load(folder.as_ref(), &self.base.transformer)?;
        self.with_adapter(&adapter)
    }

    /// A handle that computes with the adapter's updates added to the weights, W + alpha / r * B A:
    /// as fast as a model without an adapter, for the memory of the matrices that are adapted. The
    /// weights that other handles use stay as they are.
    ///
    /// In a batch with other adapters, and in training, the updates are computed as before.
    ///
    /// # Errors
    /// When the handle has no adapter.
    pub fn merge(&self) -> Result<Self, ModelError> {
        let Some(adapter) = &self.adapter else {
            let detail = format!("{} has none to merge", self.base.name);
            return Err(ModelError::Adapter { detail });
        };
        let matrices = self.base.transformer.merged(adapter)?;
        Ok(Self {
            adapter: Some(adapter.with_merged(matrices)),
            ..self.clone()
        })
    }

    /// The handle before [`Model::merge`], to the last bit.
    #[must_use]
    pub fn unmerge(&self) -> Self {
        Self {
            adapter: self.adapter.as_ref().map(Adapter::without_merged),
            ..self.clone()
        }
    }

    /// A handle over the same weights without an adapter.
    #[must_use]
    pub fn without_adapter(&self) -> Self {
        Self {
            adapter: None,
            ..self.clone()
        }
    }

    /// A handle whose chats are rendered with reasoning on or off, for models that can do both
    /// (`enable_thinking` of Qwen3 and Gemma 4, `thinking` of DeepSeek-V3.1). Without it, the
    /// template decides.
    #[must_use]
    pub fn with_thinking(&self, thinking: bool) -> Self {
        let mut handle = self.clone();
        set_thinking(&mut handle.rendering.variables, thinking);
        handle
    }

    /// A handle whose chat template knows a further name, such as Llama's `date_string`.
    #[must_use]
    pub fn with_template_variable(&self, name: &str, value: impl Into<serde_json::Value>) -> Self {
        let mut handle = self.clone();
        let variables = &mut handle.rendering.variables;
        variables.insert(name.to_owned(), value.into());
        handle
    }

    /// A handle that renders chats with another of the model's chat templates, such as `tool_use`.
    ///
    /// # Errors
    /// When the model has no template of this name, or it does not compile.
    pub fn with_chat_template(&self, name: &str) -> Result<Self, ModelError> {
        let Some(source) = self.base.templates.get(name) else {
            let known: Vec<&str> = self.chat_templates().collect();
            let known = known.join(", ");
            return Err(ModelError::Template {
                detail: format!("{} has no template {name}, but {known}", self.base.name),
            });
        };
        let mut handle = self.clone();
        handle.rendering.template = Some(Arc::new(template(source, &self.base.tokenizer)?));
        Ok(handle)
    }

    /// The names of the model's chat templates.
    pub fn chat_templates(&self) -> impl Iterator<Item = &str> {
        self.base.templates.keys().map(String::as_str)
    }

    /// The text that the model reads for `chat`; with `add_generation_prompt` it ends where the
    /// assistant's next message begins.
    ///
    /// # Errors
    /// When the model has no chat template or the template refuses the chat.
    pub fn render(&self, chat: &Chat, add_generation_prompt: bool) -> Result<String, ModelError> {
        match add_generation_prompt {
            true => self.render_to(chat, Ending::GenerationPrompt),
            false => self.render_to(chat, Ending::Closed),
        }
    }

    /// The text that the model goes on from to answer `chat`. A last message of the assistant is
    /// the beginning of the answer: the text ends within it.
    ///
    /// # Errors
    /// As [`Model::render`]; also when the template leaves out part of what is to be continued.
    pub fn render_prompt(&self, chat: &Chat) -> Result<String, ModelError> {
        match chat.response() {
            Some(_) => self.render_to(chat, Ending::Continued),
            None => self.render_to(chat, Ending::GenerationPrompt),
        }
    }

    fn render_to(&self, chat: &Chat, ending: Ending) -> Result<String, ModelError> {
        let variables = &self.rendering.variables;
        self.template()?.render(chat, ending, variables)
    }

    fn template(&self) -> Result<&ChatTemplate, ModelError> {
        let template = self.rendering.template.as_deref();
        template.ok_or_else(|| ModelError::Template {
            detail: format!("{} has no chat template", self.base.name),
        })
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
        let response = match whole.strip_prefix(&prompt) {
            Some(response) => response,
            // Where a generation prompt says more than the head of a message (Gemma 4 tells there
            // that nothing is thought), the response is what follows that head.
            None => {
                let head = self.template()?.head(chat, &self.rendering.variables)?;
                let begins = prompt.starts_with(&head);
                let response = whole.strip_prefix(&head).filter(|_| begins);
                response.ok_or_else(|| wrong("the template changes what precedes the response"))?
            }
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
    let special = SpecialTokens {
        beginning: text(tokenizer.beginning()),
        end: text(tokenizer.end().first().copied()),
    };
    ChatTemplate::new(source, special)
}

/// Sets all names under which templates know it.
fn set_thinking(variables: &mut Variables, thinking: bool) {
    for name in ["enable_thinking", "thinking"] {
        variables.insert(name.to_owned(), thinking.into());
    }
}

impl std::fmt::Display for Model {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            formatter,
            "{} ({}, {:.1} million parameters, ",
            self.name(),
            self.configuration().model_type,
            self.parameter_count() as f64 / 1e6,
        )?;
        for (index, (device, bytes)) in self.memory_by_device().into_iter().enumerate() {
            let separator = if index == 0 { "" } else { " and " };
            let megabytes = bytes as f64 / 1e6;
            write!(formatter, "{separator}{megabytes:.0} MB on {device:?}")?;
        }
        write!(formatter, " in {})", self.precision())?;
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
