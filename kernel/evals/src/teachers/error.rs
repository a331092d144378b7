use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why a teacher behind an API did not answer. What it had answered before is in the cache, so
/// that the next run asks only for the rest. No variant has a key in it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TeacherError {
    /// The environment names no endpoint.
    #[error(
        "no API to ask: set OFFMODEL_API_BASE_URL (for example http://127.0.0.1:8000/v1) and \
         OFFMODEL_API_KEY, or OPENAI_API_KEY, or OPENROUTER_API_KEY"
    )]
    NoEndpoint,
    /// The variable that should hold a key is not set.
    #[error("no API key: the environment variable {variable} is not set, or is no text")]
    NoKey {
        /// The variable.
        variable: String,
    },
    /// A key that cannot be one.
    #[error("the API key cannot be used: {problem}")]
    Key {
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A base URL that cannot be used. It is not repeated, as it may hold a key.
    #[error("the base URL of the API cannot be used: {problem}")]
    BaseUrl {
        /// What is wrong with it.
        problem: String,
    },
    /// A key would travel unencrypted.
    #[error(
        "refused to send the API key to {host} over plain HTTP, where others can read it: use \
         https, or allow it with `allow_plain_http` or OFFMODEL_API_PLAIN_HTTP=1"
    )]
    PlainHttp {
        /// The host.
        host: String,
    },
    /// `OFFMODEL_API_MODELS` is not `NAME=MODEL,NAME=MODEL`.
    #[error("failed to read OFFMODEL_API_MODELS: expected NAME=MODEL, found {found:?}")]
    Aliases {
        /// The part that is something else.
        found: String,
    },
    /// A field of the request that is not for callers to set.
    #[error("the field {field:?} of a request cannot be set: {problem}")]
    Field {
        /// The field.
        field: String,
        /// Why not.
        problem: &'static str,
    },
    /// A chat without a message.
    #[error("chat {chat} has no message")]
    EmptyChat {
        /// Its position among the chats that were given.
        chat: usize,
    },
    /// The cache could not be written.
    #[error("failed to keep an answer in {}: {source}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The user has no cache folder.
    #[error("failed to find a folder for answers: set OFFMODEL_CACHE, or give one")]
    NoCacheFolder,
    /// The HTTP client could not be set up.
    #[error("failed to set up the HTTP client: {detail}")]
    Client {
        /// Its own words.
        detail: String,
    },
    /// What makes every request fail: the rest was not sent.
    #[error("failed to ask {model} at {endpoint}: {problem}")]
    Refused {
        /// The model, as the API calls it.
        model: String,
        /// The API's base URL.
        endpoint: String,
        /// What happened.
        problem: RequestProblem,
    },
    /// Some requests failed, each for itself; the others were answered and are in the cache.
    #[error(
        "failed to ask {model} at {endpoint}: {failed} of {asked} requests failed, {answered} were \
         answered; chat {chat}: {problem}"
    )]
    Unanswered {
        /// The model, as the API calls it.
        model: String,
        /// The API's base URL.
        endpoint: String,
        /// Requests that were to be sent.
        asked: usize,
        /// Those that were answered.
        answered: usize,
        /// Those that failed; what is left was given up, as nothing but failures came.
        failed: usize,
        /// The position of the first chat that failed.
        chat: usize,
        /// What happened to that one.
        problem: RequestProblem,
    },
}

/// What happened to one request. What a server said is shortened, and shows no key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestProblem {
    /// No connection, or one that broke.
    #[error("the connection failed: {detail}")]
    Connection {
        /// The client's own words.
        detail: String,
    },
    /// No whole answer in time.
    #[error("no answer within {} s", limit.as_secs_f64())]
    Timeout {
        /// The time that it had.
        limit: Duration,
    },
    /// A status that is no success.
    #[error("HTTP status {status}{}{said}", if said.is_empty() { "" } else { ": " })]
    Status {
        /// The status.
        status: u16,
        /// What the server said about it.
        said: String,
    },
    /// An error inside an answer with the status of a success.
    #[error("the server answered with an error: {said}")]
    ErrorAnswer {
        /// The code, if the server gave a number.
        code: Option<u16>,
        /// What the server said.
        said: String,
    },
    /// The server sends clients elsewhere, which is not followed: the key is for this one.
    #[error("HTTP status {status}: redirected to {target}, which is not followed")]
    Redirect {
        /// The status.
        status: u16,
        /// Scheme, host and port that it points to.
        target: String,
    },
    /// An answer that cannot be understood.
    #[error("the answer is no chat completion: {detail}")]
    NotCompletion {
        /// What is wrong with it.
        detail: String,
    },
    /// An answer over the limit; the rest of it was not read.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// The most bytes that an answer may have.
        limit: usize,
    },
    /// The server asks for a wait beyond the limit.
    #[error("HTTP status {status}: the server asks to wait {} s, the limit is {} s", wait.as_secs(), limit.as_secs())]
    Wait {
        /// The status.
        status: u16,
        /// What it asks for.
        wait: Duration,
        /// The longest wait that is accepted.
        limit: Duration,
    },
}
