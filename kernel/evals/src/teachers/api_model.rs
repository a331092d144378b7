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
use super::answer::Answer;
use super::cache::Cache;
use super::dispatch::{Limits, Outcome, Stopped, dispatch};
use super::endpoint::Endpoint;
use super::error::{RequestProblem, TeacherError};
use super::exchange::Timeouts;
use super::request::{Request, Template};
use super::retry::RetryPolicy;
use crate::{EvalError, LanguageModel, Reply};

/// Fields of a request that have a meaning for this program, which the caller cannot take.
const OWN_FIELDS: [(&str, &str); 4] = [
    ("model", "it is the model's name"),
    ("messages", "they are the chat"),
    ("stream", "answers are read whole"),
    ("n", "ask a prompt several times for several replies"),
];

/// A model behind an API that speaks OpenAI's chat completions.
///
/// Every answer is kept on disk under the hash of its request (endpoint, model, messages, sampling,
/// further fields; never the key), so that asking again costs nothing. The same chat asked several
/// times in one call gets several replies, each with a record of its own; at temperature 0 it is
/// asked once.
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
    cache: Option<Cache>,
}

impl ApiModel {
    /// A model at the endpoint that the environment names ([`Endpoint::from_environment`]).
    ///
    /// # Errors
    /// When it names none, or one that cannot be used.
    pub fn from_environment(name: &str) -> Result<Self, TeacherError> {
        Self::new(Endpoint::from_environment()?, name)
    }

    /// A model at an endpoint: one of the study's names (`gpt_4.1_nano`, `claude_haiku_4.5`,
    /// `claude_opus_4.7`, `gpt_5.5`; `OFFMODEL_API_MODELS` adds and overrides), or the name that
    /// the API has for it.
    ///
    /// # Errors
    /// When the endpoint would show its key to others, or there is no folder for answers.
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
            cache: Some(Cache::of_user()?),
        })))
    }

    /// The model's name at the API.
    pub fn model(&self) -> &str {
        &self.0.model
    }

    /// Where it is asked.
    pub fn endpoint(&self) -> &Endpoint {
        &self.0.endpoint
    }

    /// Sets the most requests under way at once; 8 if not set.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.settings().limits.concurrency = requests.max(1);
        self
    }

    /// Sets the time for a whole request, from connecting to the last byte; 10 minutes if not set.
    #[must_use]
    pub fn timeout(mut self, whole: Duration) -> Self {
        self.settings().limits.timeouts.whole = whole;
        self
    }

    /// Sets the time to connect; 10 s if not set.
    #[must_use]
    pub fn connect_timeout(mut self, connect: Duration) -> Self {
        self.settings().limits.timeouts.connect = connect;
        self
    }

    /// Sets how often a request is repeated.
    #[must_use]
    pub fn retries(mut self, policy: RetryPolicy) -> Self {
        self.settings().limits.retries = policy;
        self
    }

    /// Sets a further field of every request, for example `"reasoning"` to `{"effort": "low"}`;
    /// `null` takes a field out that this program would send, as `"temperature"` for a model that
    /// refuses it.
    ///
    /// # Errors
    /// When the field is one that only this program may set.
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

    /// Keeps answers in this folder instead of the user's cache.
    #[must_use]
    pub fn cache_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.settings().cache = Some(Cache::new(folder));
        self
    }

    /// Keeps no answers: asking again pays again.
    #[must_use]
    pub fn without_cache(mut self) -> Self {
        self.settings().cache = None;
        self
    }

    fn settings(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.0)
    }

    /// The requests for the chats, each once, and for each chat the position of its request.
    fn requests(
        &self,
        chats: &[Chat],
        sampling: &Sampling,
    ) -> Result<(Vec<Request>, Vec<usize>), TeacherError> {
        let template = Template {
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

    /// Gets the answers that are not there yet, and keeps them.
    fn fetch(
        &self,
        requests: &[Request],
        answers: &mut [Option<Answer>],
        chat_of: impl Fn(usize) -> usize,
    ) -> Result<(), EvalError> {
        let missing: Vec<usize> = (0..requests.len())
            .filter(|&position| answers[position].is_none())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        if let Some(cache) = &self.0.cache {
            cache.prepare()?;
        }
        let to_send = missing.iter().map(|&at| requests[at].clone()).collect();
        let label = self.label(requests.len() - missing.len());
        let outcome = dispatch(
            &self.0.endpoint,
            to_send,
            self.0.limits,
            &label,
            |sent, answer| {
                let position = missing[sent];
                if let Some(cache) = &self.0.cache {
                    cache.put(&requests[position], &answer)?;
                }
                answers[position] = Some(answer);
                Ok(())
            },
        );
        let Outcome { answered, failed } = outcome.map_err(|stopped| match stopped {
            Stopped::Refused(problem) => self.refused(problem),
            Stopped::Other(error) => error,
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
            0 => format!("asking {}", self.0.name),
            _ => format!("asking {} ({cached} from the cache)", self.0.name),
        }
    }
}

impl LanguageModel for ApiModel {
    fn name(&self) -> &str {
        &self.0.name
    }

    /// Asks for every chat that has no answer in the cache.
    ///
    /// # Errors
    /// [`TeacherError::Refused`] at once where every request would fail; a chat that fails for
    /// itself is told at the end, when all others are answered. What was answered by then is in
    /// the cache, also after an interrupt.
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
        let mut answers = Vec::with_capacity(requests.len());
        for request in &requests {
            interrupt::check()?;
            answers.push(self.0.cache.as_ref().and_then(|cache| cache.get(request)));
        }
        let cached: Vec<bool> = answers.iter().map(Option::is_some).collect();
        let chat_of = |position: usize| {
            let chat = of_chat.iter().position(|&request| request == position);
            chat.unwrap_or_default()
        };
        self.fetch(&requests, &mut answers, chat_of)?;
        let mut counted = vec![false; requests.len()];
        // None is missing: what could not be fetched is an error.
        let replies = of_chat.iter().filter_map(|&position| {
            let answer = answers[position].clone()?;
            // One answer to several equal chats is paid for once.
            let again = std::mem::replace(&mut counted[position], true);
            Some(Reply {
                text: answer.text,
                reasoning: answer.reasoning,
                ending: answer.ending,
                usage: answer.usage,
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
            Some(cache) => write!(f, "answers kept in {}", cache.folder().display()),
            None => f.write_str("answers not kept"),
        }
    }
}
