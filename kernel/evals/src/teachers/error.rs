use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

/// Why a teacher behind an API did not respond. Responses that arrived before are in the cache, so
/// that the next run requests only the rest. No variant contains a key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TeacherError {
    /// The environment names no endpoint.
    #[error(
        "no API endpoint: set OFFMODEL_API_BASE_URL (for example http://127.0.0.1:8000/v1) and \
         OFFMODEL_API_KEY, or OPENAI_API_KEY, or OPENROUTER_API_KEY"
    )]
    NoEndpoint,
    /// The environment variable for the key is not set.
    #[error("no API key: the environment variable {variable} is not set or not UTF-8")]
    NoKey {
        /// Name of the variable.
        variable: String,
    },
    /// The key is malformed.
    #[error("the API key cannot be used: {problem}")]
    Key {
        /// Why it cannot be used.
        problem: &'static str,
    },
    /// The base URL cannot be used. The error does not repeat it, because it may contain a key.
    #[error("the base URL of the API cannot be used: {problem}")]
    BaseUrl {
        /// What is wrong with it.
        problem: String,
    },
    /// The key would be sent unencrypted.
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
        /// The part that is malformed.
        found: String,
    },
    /// Callers cannot set this field of requests.
    #[error("the field {field:?} of a request cannot be set: {problem}")]
    Field {
        /// The field.
        field: String,
        /// Why not.
        problem: &'static str,
    },
    /// A chat has no messages.
    #[error("chat {chat} has no message")]
    EmptyChat {
        /// Index of the chat in the call, from 0.
        chat: usize,
    },
    /// The cache could not be written.
    #[error("failed to cache a response in {}: {source}", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The user has no cache folder.
    #[error("no cache folder for responses: set OFFMODEL_CACHE, or call `cache_folder`")]
    NoCacheFolder,
    /// The HTTP client could not be set up.
    #[error("failed to set up the HTTP client: {detail}")]
    Client {
        /// The error of the client.
        detail: String,
    },
    /// A problem that affects every request; the remaining requests were not sent.
    #[error("failed to query {model} at {endpoint}: {problem}")]
    Refused {
        /// The API's name for the model.
        model: String,
        /// Base URL of the API.
        endpoint: String,
        /// What happened to the request.
        problem: RequestProblem,
    },
    /// Some requests failed individually; the responses to the others are in the cache.
    #[error(
        "failed to query {model} at {endpoint}: {failed} of {asked} requests failed, {answered} were \
         answered; chat {chat}: {problem}"
    )]
    Unanswered {
        /// The API's name for the model.
        model: String,
        /// Base URL of the API.
        endpoint: String,
        /// Requests that were to be sent.
        asked: usize,
        /// Requests that were answered.
        answered: usize,
        /// Requests that failed. The rest was abandoned after a long run of failures.
        failed: usize,
        /// Index of the first chat that failed, from 0.
        chat: usize,
        /// What happened to the request of that chat.
        problem: RequestProblem,
    },
}

/// Why one request failed. Text of the server is shortened and contains no key.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestProblem {
    /// The connection failed or broke off.
    #[error("the connection failed: {detail}")]
    Connection {
        /// The error of the HTTP client.
        detail: String,
    },
    /// The response did not arrive in time.
    #[error("no response within {} s", limit.as_secs_f64())]
    Timeout {
        /// The timeout.
        limit: Duration,
    },
    /// The server returned an error status.
    #[error("HTTP status {status}{}{message}", if message.is_empty() { "" } else { ": " })]
    Status {
        /// The HTTP status.
        status: u16,
        /// The message of the server.
        message: String,
    },
    /// The server returned an error in the body of a response with a success status.
    #[error("the server returned an error: {message}")]
    ErrorResponse {
        /// The error code, if it is a number.
        code: Option<u16>,
        /// The message of the server.
        message: String,
    },
    /// The server redirected the request. Redirects are not followed, because the key is meant for
    /// this server alone.
    #[error("HTTP status {status}: the server redirects to {target}, which is not followed")]
    Redirect {
        /// The HTTP status.
        status: u16,
        /// Scheme, host and port of the redirect.
        target: String,
    },
    /// The response is not a chat completion.
    #[error("the response is not a chat completion: {detail}")]
    NotCompletion {
        /// Why it is not.
        detail: String,
    },
    /// The response is longer than the limit; the rest was not read.
    #[error("the response is longer than {limit} bytes")]
    TooLong {
        /// Longest response, in bytes.
        limit: usize,
    },
    /// The server requests a longer wait than the limit.
    #[error("HTTP status {status}: the server requests a wait of {} s, which exceeds the limit of {} s", wait.as_secs(), limit.as_secs())]
    Wait {
        /// The HTTP status.
        status: u16,
        /// The requested wait.
        wait: Duration,
        /// Longest wait that is accepted.
        limit: Duration,
    },
}
