//! What can go wrong with a model.

use std::path::PathBuf;

use crate::gguf::GgufError;

/// Why something could not be done with a model. No variant leaves anything half-done: handles
/// stay usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// There is no model of this name or at this path.
    #[error("failed to find the model {name} at {}: {hint}", path.display())]
    NotFound {
        /// The name that was asked for.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
        /// What to do about it.
        hint: String,
    },
    /// The name is that of a teacher of the study that has no public weights.
    #[error(
        "{name} is a teacher behind an API and has no weights to load: Teacher::load(\"{name}\") asks it"
    )]
    BehindApi {
        /// The name.
        name: String,
    },
    /// The Hugging Face hub did not give a model.
    #[error("failed to get {name} from {endpoint}: {detail}")]
    Hub {
        /// The model.
        name: String,
        /// The hub.
        endpoint: String,
        /// What went wrong.
        detail: String,
    },
    /// A file could not be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A file or folder could not be written; what was there before still is.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A GGUF file is damaged or not supported.
    #[error("failed to load {}: {source}", path.display())]
    Gguf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: GgufError,
    },
    /// A safetensors file, or a JSON file beside it, is damaged.
    #[error("failed to load {}: {detail}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// A tensor that the architecture needs is not in the file.
    #[error("failed to load {}: tensor {tensor} is missing", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor's name in the file.
        tensor: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error(
        "failed to load {}: tensor {tensor} has shape {found:?}, the configuration needs {expected:?}",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name in the file.
        tensor: String,
        /// The shape that the configuration asks for.
        expected: Vec<i64>,
        /// The shape in the file.
        found: Vec<i64>,
    },
    /// The model needs something that this crate does not have.
    #[error("failed to load {}: {field} is {found}, supported: {supported}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field of the configuration.
        field: String,
        /// Its value.
        found: String,
        /// The values that would work.
        supported: &'static str,
    },
    /// No device, nor all of them together, has room for the weights.
    #[error(
        "{name} needs {:.1} GB for its weights in {precision}; there is room for {rooms}",
        *needed as f64 / 1e9
    )]
    InsufficientMemory {
        /// The model.
        name: String,
        /// Bytes that it needs.
        needed: u64,
        /// The precision of the weights.
        precision: crate::Precision,
        /// What each device has, in words.
        rooms: String,
    },
    /// Text could not be turned into tokens, or back.
    #[error("failed to tokenize: {detail}")]
    Tokenizer {
        /// The tokenizer's own words.
        detail: String,
    },
    /// A token id that the vocabulary does not have.
    #[error("token {token} is not in the vocabulary of {vocabulary} tokens")]
    Token {
        /// The token id.
        token: u32,
        /// The size of the vocabulary.
        vocabulary: i64,
    },
    /// The chat template is missing, does not compile, or refused the chat.
    #[error("failed to render the chat: {detail}")]
    Template {
        /// The template engine's own words.
        detail: String,
    },
    /// A chat that cannot be used the way it was.
    #[error("chat {index}: {detail}")]
    Chat {
        /// Its position among the chats that were given.
        index: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// More tokens than the model's context holds.
    #[error("chat {index} has {tokens} tokens, the context of the model is {context}")]
    Context {
        /// Its position among the chats that were given.
        index: usize,
        /// Tokens of the chat.
        tokens: usize,
        /// Tokens that fit.
        context: usize,
    },
    /// Options that make no sense.
    #[error("{option} is {found}, expected {expected}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// Its value.
        found: String,
        /// What would work.
        expected: &'static str,
    },
    /// An adapter that does not fit the model.
    #[error("adapter: {detail}")]
    Adapter {
        /// What does not fit.
        detail: String,
    },
    /// The loss of a training step is not a number any more.
    #[error("training diverged: the loss of step {step} is {loss}")]
    Diverged {
        /// The step, from 1.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// The model computed something that is no probability, as after a training that diverged.
    #[error("chat {index}: the log-probability of token {position} of the response is {found}")]
    NotFinite {
        /// The chat's position among those that were given.
        index: usize,
        /// The token of the response, from 1.
        position: usize,
        /// What was computed.
        found: f32,
    },
    /// One response alone needs more memory than there is for it.
    #[error("chat {index}: no memory on {device:?} for a response of {tokens} tokens: {detail}")]
    OutOfMemory {
        /// The chat's position among those that were given.
        index: usize,
        /// Tokens of the prompt and of the response so far.
        tokens: usize,
        /// Where there was no memory.
        device: tch::Device,
        /// The allocator's own words.
        detail: String,
    },
    /// A generation call ended early, for one of the other reasons. The error carries the responses
    /// that were finished, and can be continued.
    #[error(transparent)]
    Stopped(Box<crate::StoppedGeneration>),
    /// The work was asked to stop.
    #[error(transparent)]
    Interrupted(#[from] offmodel_events::Interrupted),
    /// libtorch refused.
    #[error("libtorch failed: {0}")]
    Torch(#[from] tch::TchError),
}
