//! The handle of a model behind an API.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use offmodel_events::interrupt;
use offmodel_models::{Chat, ModelError, Sampling};
use serde_json::{Map, Value};

use super::aliases;
use super::api_response::ApiResponse;
use super::endpoint::Endpoint;
use super::error::{RequestProblem, TeacherError};
use super::http_client::Timeouts;
use super::request::{Request, RequestTemplate};
use super::request_queue::{DispatchError, DispatchResult, Limits, dispatch};
use super::response_cache::ResponseCache;
use super::retry::RetryPolicy;
use crate::{EvalError, LanguageModel, Reply};

/// Fields of a request that callers cannot set, and why.
const OWN_FIELDS: [(&str, &str); 4] = [
    ("model", "it is the model's name"),
    ("messages", "it holds the chat"),
    ("stream", "responses are read as a whole"),
    ("n", "pass a prompt several times to get several replies"),
];

/// A model behind an API that speaks OpenAI's chat completions.
///
/// Every response is kept on disk under the hash of its request (endpoint, model, messages,
/// sampling, further fields; never the key), so that the same request never costs twice. If a chat
/// occurs several times in one call, each occurrence gets its own reply and cache entry; at
/// temperature 0 it is sent once.
///
/// ```
/// use offmodel_evals::{ApiModel, Endpoint};
///
/// let endpoint = Endpoint::new("http://127.0.0.1:8000/v1")?;
/// let teacher = ApiModel::new(endpoint, "Qwen/Qwen3-4B")?.concurrency(32);
/// assert_eq!(teacher.model(), "Qwen/Qwen3-4B");
/// # Ok::<(), offmodel_evals::TeacherError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ApiModel(Arc<Settings>);

#[derive(Debug, Clone)]
struct Settings {
    name: String,
    model: String,
    endpoint: Endpoint,
    limits: Limits,
    fields: Map<String, Value>,
    cache: Option<ResponseCache>,
}

impl ApiModel {
    /// Creates a handle of a model at the endpoint in the environment
    /// ([`Endpoint::from_environment`]).
    ///
    /// # Errors
    /// If the environment names no endpoint, or one that cannot be used.
    pub fn from_environment(name: &str) -> Result<Self, TeacherError> {
        Self::new(Endpoint::from_environment()?, name)
    }

    /// Creates a handle of a model at `endpoint`. `name` is one of the study's names
    /// (`gpt_4.1_nano`, `claude_haiku_4.5`, `claude_opus_4.7`, `gpt_5.5`; `OFFMODEL_API_MODELS` adds
    /// and overrides names), or the API's own name for the model.
    ///
    /// # Errors
    /// If the endpoint would reveal its key to others, or there is no cache folder.
    pub fn new(endpoint: Endpoint, name: &str) -> Result<Self, TeacherError> {
        endpoint.check()?;
        let model = aliases::resolve(name, endpoint.host())?;
        Ok(Self(Arc::new(Settings {
            model: model.unwrap_or_else(|| name.to_owned()),
            name: name.to_owned(),
            endpoint,
            limits: Limits {
                concurrency: 8,
                timeouts: Timeouts {
                    connect: Duration::from_secs(10),
                    whole: Duration::from_secs(600),
                },
                retries: RetryPolicy::default(),
            },
            fields: Map::new(),
            cache: Some(ResponseCache::of_user()?),
        })))
    }

    /// The API's name for the model.
    pub fn model(&self) -> &str {
        &self.0.model
    }

    /// The endpoint to which requests are sent.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Sets the maximum number of concurrent requests (default: 8).
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.settings().limits.concurrency = requests.max(1);
        self
    }

    /// Sets the timeout of a whole request, from connecting to the last byte (default: 10 minutes).
    #[must_use]
    pub fn timeout(mut self, whole: Duration) -> Self {
        self.settings().limits.timeouts.whole = whole;
        self
    }

    /// Sets the timeout of connecting (default: 10 s).
    #[must_use]
    pub fn connect_timeout(mut self, connect: Duration) -> Self {
        self.settings().limits.timeouts.connect = connect;
        self
    }

    /// Sets when failed requests are sent again.
    #[must_use]
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.settings().limits.retries = policy;
        self
    }

    /// Sets another field of every request, for example `"reasoning"` to `{"effort": "low"}`. The
    /// value `null` removes a field, for example `"temperature"` for a model that rejects it.
    ///
    /// # Errors
    /// If the field is one that callers cannot set: `model`, `messages`, `stream` or `n`.
    pub fn field(mut self, field: &str, value: impl Into<Value>) -> Result<Self, TeacherError> {
        if let Some(&(_, problem)) = OWN_FIELDS.iter().find(|(own, _)| *own == field) {
            return Err(TeacherError::Field {
                field: field.to_owned(),
                problem,
            });
        }
        self.settings()
            .fields
            .insert(field.to_owned(), value.into());
        Ok(self)
    }

    /// Caches responses in `folder` instead of the user's cache folder.
    #[must_use]
    pub fn cache_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.settings().cache = Some(ResponseCache::new(folder));
        self
    }

    /// Turns the cache off: every call sends, and pays for, every request.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.settings().cache = None;
        self
    }

    fn settings(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.0)
    }

    /// The distinct requests for `chats`, and for each chat the index of its request.
    fn requests(
        &self,
        chats: &[Chat],
        sampling: &Sampling,
    ) -> Result<(Vec<Request>, Vec<usize>), TeacherError> {
        let template = RequestTemplate {
            endpoint: self.0.endpoint.base_url(),
            model: &self.0.model,
            token_limit_field: self.0.endpoint.token_limit_field(),
            sampling,
            fields: &self.0.fields,
        };
        let mut seen: HashMap<String, (u64, usize)> = HashMap::new();
        let mut requests = Vec::new();
        let mut of_chat = Vec::with_capacity(chats.len());
        for (index, chat) in chats.iter().enumerate() {
            if chat.messages.is_empty() {
                return Err(TeacherError::EmptyChat { chat: index });
            }
            let first = template.request(chat, 0);
            let (times, position) = seen
                .entry(first.identity())
                .and_modify(|(times, _)| *times += 1)
                .or_insert((0, requests.len()));
            if *times == 0 {
                of_chat.push(requests.len());
                requests.push(first);
            } else if sampling.temperature == 0.0 {
                of_chat.push(*position);
            } else {
                of_chat.push(requests.len());
                requests.push(template.request(chat, *times));
            }
        }
        Ok((requests, of_chat))
    }

    /// Sends the requests that have no response yet, and caches the responses.
    fn fetch(
        &self,
        requests: &[Request],
        responses: &mut [Option<ApiResponse>],
        chat_of: impl Fn(usize) -> usize,
    ) -> Result<(), EvalError> {
        let missing: Vec<usize> = (0..requests.len())
            .filter(|&index| responses[index].is_none())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if let Some(cache) = &self.0.cache {
            cache.prepare()?;
        }
        let to_send = missing
            .iter()
            .map(|&index| requests[index].clone())
            .collect();
        let label = self.label(requests.len() - missing.len());
        let result = dispatch(
            &self.0.endpoint,
            to_send,
            self.0.limits,
            &label,
            |sent, response| {
                let position = missing[sent];
                if let Some(cache) = &self.0.cache {
                    cache.put(&requests[position], &response)?;
                }
                responses[position] = Some(response);
                Ok(())
            },
        );
        let DispatchResult { answered, failed } = result.map_err(|error| match error {
            DispatchError::Refused(problem) => self.refused(problem),
            DispatchError::Other(error) => error,
        })?;
        let count = failed.len();
        match failed.into_iter().next() {
            None => Ok(()),
            Some((sent, problem)) => Err(TeacherError::Unanswered {
                model: self.0.model.clone(),
                endpoint: self.0.endpoint.base_url().to_owned(),
                asked: missing.len(),
                answered,
                failed: count,
                chat: chat_of(missing[sent]),
                problem,
            }
            .into()),
        }
    }

    fn refused(&self, problem: RequestProblem) -> EvalError {
        TeacherError::Refused {
            model: self.0.model.clone(),
            endpoint: self.0.endpoint.base_url().to_owned(),
            problem,
        }
        .into()
    }

    fn label(&self, cached: usize) -> String {
        match cached {
            0 => format!("querying {}", self.0.name),
            _ => format!("querying {} ({cached} from the cache)", self.0.name),
        }
    }
}

impl LanguageModel for ApiModel {
    fn name(&self) -> &str {
        &self.0.name
    }

    /// Sends a request for every chat that has no response in the cache.
    ///
    /// # Errors
    /// [`TeacherError::Refused`] at once if a problem affects every request. A request that fails
    /// individually is reported after all others were answered. Responses that arrived before an
    /// error or interrupt are in the cache.
    fn reply(&self, chats: &[Chat], sampling: &Sampling) -> Result<Vec<Reply>, EvalError> {
        sampling.check()?;
        if !sampling.stop_tokens.is_empty() {
            return Err(ModelError::Option {
                option: "stop_tokens",
                found: format!("{:?}", sampling.stop_tokens),
                expected: "none for a model behind an API, which has stop strings",
            }
            .into());
        }
        let (requests, of_chat) = self.requests(chats, sampling)?;
        let mut responses = Vec::with_capacity(requests.len());
        for request in &requests {
            interrupt::check()?;
            responses.push(self.0.cache.as_ref().and_then(|cache| cache.get(request)));
        }
        let cached: Vec<bool> = responses.iter().map(Option::is_some).collect();
        let chat_of = |position: usize| {
            let chat = of_chat.iter().position(|&request| request == position);
            chat.unwrap_or_default()
        };
        self.fetch(&requests, &mut responses, chat_of)?;
        let mut counted = vec![false; requests.len()];
        // None is missing: what could not be fetched is an error.
        let replies = of_chat.iter().filter_map(|&position| {
            let response = responses[position].clone()?;
            // Equal chats may share one response, whose cost counts once.
            let again = std::mem::replace(&mut counted[position], true);
            Some(Reply {
                text: response.text,
                reasoning: response.reasoning,
                finish_reason: response.finish_reason,
                usage: response.usage,
                cached: cached[position] || again,
            })
        });
        Ok(replies.collect())
    }
}

impl fmt::Display for ApiModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.name)?;
        if self.0.model != self.0.name {
            write!(f, " = {}", self.0.model)?;
        }
        write!(
            f,
            " at {}, {} requests at once, ",
            self.0.endpoint, self.0.limits.concurrency
        )?;
        match &self.0.cache {
            Some(cache) => write!(f, "responses kept in {}", cache.folder().display()),
            None => f.write_str("responses not kept"),
        }
    }
}
