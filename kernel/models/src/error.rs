//! What can go wrong with a model.

use std::path::PathBuf;

use crate::gguf::GgufError;

/// Why something could not be done with a model. Handles stay usable after every error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// There is no model with this name or at this path.
    #[error("failed to find the model {name} at {}: {hint}", path.display())]
    NotFound {
        /// The requested name or path.
        name: String,
        /// Where the model was looked for.
        path: PathBuf,
        /// What to do about it.
        hint: String,
    },
    /// The name is that of a teacher without public weights.
    #[error(
        "{name} is a teacher behind an API and has no weights to load; use Teacher::load(\"{name}\")"
    )]
    BehindApi {
        /// The teacher's name.
        name: String,
    },
    /// A model could not be downloaded from the Hugging Face hub.
    #[error("failed to get {name} from {endpoint}: {detail}")]
    Hub {
        /// The repository, `organisation/name`.
        name: String,
        /// The address of the hub.
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
    /// A file or folder could not be written. A previous one at the same path is unchanged.
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
        /// What is wrong with the file.
        source: GgufError,
    },
    /// A safetensors file, or a JSON file beside it, is damaged.
    #[error("failed to load {}: {detail}", path.display())]
    Safetensors {
        /// The file.
        path: PathBuf,
        /// What is wrong with the file.
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
    /// A tensor does not have the shape that the configuration requires.
    #[error(
        "failed to load {}: tensor {tensor} has shape {found:?}, the configuration needs {expected:?}",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor's name in the file.
        tensor: String,
        /// The shape that the configuration requires.
        expected: Vec<i64>,
        /// The shape in the file.
        found: Vec<i64>,
    },
    /// The model needs a feature that this crate does not support.
    #[error("failed to load {}: {field} is {found}, supported: {supported}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// The field of the configuration.
        field: String,
        /// Its value.
        found: String,
        /// The supported values.
        supported: &'static str,
    },
    /// Neither one device nor all of them together have enough memory for the weights.
    #[error(
        "{name} needs {:.1} GB for its weights in {precision}; there is room for {available}: \
         choose a lower precision, a smaller model or more devices",
        *needed as f64 / 1e9
    )]
    InsufficientMemory {
        /// The model.
        name: String,
        /// Bytes that the weights need.
        needed: u64,
        /// The precision of the weights.
        precision: crate::Precision,
        /// The memory that each device has for weights, in words.
        available: String,
    },
    /// Text could not be encoded as tokens, or tokens decoded as text.
    #[error("failed to tokenize: {detail}")]
    Tokenizer {
        /// The tokenizer's message.
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
        /// The template engine's message.
        detail: String,
    },
    /// A chat is not suitable for the operation.
    #[error("chat {index}: {detail}")]
    Chat {
        /// Index of the chat among those that were given.
        index: usize,
        /// What is wrong with the chat.
        detail: String,
    },
    /// A chat has more tokens than the model's context.
    #[error("chat {index} has {tokens} tokens, the context of the model is {context}")]
    Context {
        /// Index of the chat among those that were given.
        index: usize,
        /// Tokens of the chat.
        tokens: usize,
        /// Tokens in the context.
        context: usize,
    },
    /// An option has an invalid value.
    #[error("{option} is {found}, expected {expected}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// Its value.
        found: String,
        /// The valid values.
        expected: &'static str,
    },
    /// An adapter does not fit the model.
    #[error("adapter: {detail}")]
    Adapter {
        /// What does not fit.
        detail: String,
    },
    /// The loss of a training step is not finite.
    #[error("training diverged: the loss of step {step} is {loss}")]
    Diverged {
        /// The step, counted from 1.
        step: usize,
        /// The loss.
        loss: f64,
    },
    /// The model computed a log-probability that is not finite, as after a training that diverged.
    #[error("chat {index}: the log-probability of token {position} of the response is {found}")]
    NotFinite {
        /// Index of the chat among those that were given.
        index: usize,
        /// The token of the response, counted from 1.
        position: usize,
        /// The value that was computed.
        found: f32,
    },
    /// A single response needs more memory than is available.
    #[error("chat {index}: no memory on {device:?} for a response of {tokens} tokens: {detail}")]
    OutOfMemory {
        /// Index of the chat among those that were given.
        index: usize,
        /// Tokens of the prompt and of the response so far.
        tokens: usize,
        /// The device without enough memory.
        device: tch::Device,
        /// The allocator's message.
        detail: String,
    },
    /// A generation call ended early, for one of the other reasons. The error carries the responses
    /// that were finished, and can be continued.
    #[error(transparent)]
    Stopped(Box<crate::StoppedGeneration>),
    /// The operation was interrupted.
    #[error(transparent)]
    Interrupted(#[from] offmodel_events::Interrupted),
    /// libtorch failed.
    #[error("libtorch failed: {0}")]
    Torch(#[from] tch::TchError),
}
