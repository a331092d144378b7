//! The handle of a loaded model.

use std::path::Path;
use std::sync::Arc;

use tch::{Device, Tensor};

use crate::adapter::{Adapter, Adapters, LoraConfig};
use crate::chat::{self, ChatTemplate, Ending, Sources, SpecialTokens, Variables};
use crate::checkpoint::{Checkpoint, FolderCheckpoint, GgufCheckpoint};
use crate::example::Example;
use crate::generation::{Decoder, Request, respond};
use crate::gguf::Gguf;
use crate::locate::locate;
use crate::tokenizer::Tokenizer;
use crate::transformer::{Packed, Transformer, Weight};
use crate::{Chat, Configuration, ModelError, Response, Sampling, scoring};

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
        let (source, tokenizer, templates): (Box<dyn Checkpoint>, _, _);
        if located.path.is_dir() {
            source = Box::new(FolderCheckpoint::open(&located.path)?);
            tokenizer = Tokenizer::from_folder(&located.path)?;
            templates = chat::of_folder(&located.path)?;
        } else {
            file = Gguf::open(&located.path)?;
            source = Box::new(GgufCheckpoint::new(&file));
            source.configuration()?;
            tokenizer = Tokenizer::from_gguf(&file)?;
            templates = chat::of_gguf(&file)?;
        }
        let template = match templates.get(chat::DEFAULT) {
            Some(text) => Some(Arc::new(template(text, &tokenizer)?)),
            None => None,
        };
        let mut variables = Variables::new();
        if let Some(thinking) = located.thinking {
            set_thinking(&mut variables, thinking);
        }
        let configuration = source.configuration()?;
        let transformer = Transformer::load(source.as_ref(), &configuration, device)?;
        let base = Base {
            name: located.name,
            configuration,
            transformer,
            tokenizer,
            templates,
            device,
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
        Adapter::initialise(self.name(), maps, lora, seed, self.base.device)
    }

    /// A handle over the same weights with the adapter in `folder`, which PEFT or
    /// [`Adapter::save`] wrote.
    ///
    /// # Errors
    /// When the folder holds no adapter, one for a model of another shape, or one that PEFT would
    /// compute in a way that is not supported.
    pub fn load_adapter(&self, folder: impl AsRef<Path>) -> Result<Self, ModelError> {
        let adapter = Adapter::load(folder.as_ref(), &self.base.transformer, self.base.device)?;
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

    /// Answers every chat, in order. Which chats are answered together does not matter to the
    /// answers; a response is cut off where the context ends. A chat that ends with a message of
    /// the assistant is answered by going on from there, and the response is what comes after it.
    ///
    /// # Errors
    /// When a chat leaves no room for an answer in the context, or the work is interrupted.
    pub fn generate(
        &self,
        chats: &[Chat],
        sampling: &Sampling,
    ) -> Result<Vec<Response>, ModelError> {
        let requests: Vec<_> = chats.iter().map(|chat| (self, chat)).collect();
        Self::generate_together(&requests, sampling)
    }

    /// Answers every chat with the handle beside it, in order and in one batch: handles with
    /// different adapters, or none, over the same weights. The answers are those that each handle
    /// would give on its own.
    ///
    /// ```no_run
    /// # use offmodel_models::{Adapter, Chat, Model, ModelError, Sampling};
    /// # fn compare(base: &Model, tuned: &Adapter) -> Result<(), ModelError> {
    /// let student = base.with_adapter(tuned)?;
    /// let chat = Chat::user("What is 7 times 8?");
    /// let answers = Model::generate_together(&[(base, &chat), (&student, &chat)], &Sampling::greedy())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Model::generate`]; also when the handles do not share their weights.
    pub fn generate_together(
        requests: &[(&Self, &Chat)],
        sampling: &Sampling,
    ) -> Result<Vec<Response>, ModelError> {
        sampling.check()?;
        let Some(&(first, _)) = requests.first() else {
            return Ok(vec![]);
        };
        let base = &first.base;
        let mut prompts = Vec::with_capacity(requests.len());
        for (index, (model, _)) in requests.iter().enumerate() {
            if !Arc::ptr_eq(base, &model.base) {
                let detail = format!(
                    "chat {index} is for {}, chat 0 for {}: one batch needs handles over the same weights",
                    model.name(),
                    base.name
                );
                return Err(ModelError::Adapter { detail });
            }
        }
        for (index, (model, chat)) in requests.iter().enumerate() {
            let prompt = base.tokenizer.encode(&model.render_prompt(chat)?)?;
            let room = model.room_after(index, prompt.len())?;
            prompts.push(Request {
                prompt,
                adapter: model.adapter.as_ref(),
                limit: sampling.max_new_tokens.min(room),
            });
        }
        let decoder = Decoder {
            transformer: &base.transformer,
            configuration: &base.configuration,
            end: base.tokenizer.end(),
            device: base.device,
        };
        let answers = respond(decoder, &prompts, sampling)?;
        answers
            .into_iter()
            .map(|answer| {
                Ok(Response {
                    text: base.tokenizer.decode(&answer.tokens)?,
                    tokens: answer.tokens,
                    log_probabilities: answer.log_probabilities,
                    finish: answer.finish,
                })
            })
            .collect()
    }

    /// The logits of the token after each of `tokens`: `[tokens, vocabulary]`, `f32`.
    ///
    /// # Errors
    /// When there are no tokens, one is not in the vocabulary, or they exceed the context.
    pub fn logits(&self, tokens: &[u32]) -> Result<Tensor, ModelError> {
        let (vocabulary, context) = (
            self.base.configuration.vocab_size,
            self.base.configuration.max_position_embeddings,
        );
        if tokens.is_empty() || tokens.len() > context {
            return Err(ModelError::Context {
                index: 0,
                tokens: tokens.len(),
                context,
            });
        }
        if let Some(&token) = tokens.iter().find(|&&token| i64::from(token) >= vocabulary) {
            return Err(ModelError::Token { token, vocabulary });
        }
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
    fn room_after(&self, index: usize, prompt: usize) -> Result<usize, ModelError> {
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
