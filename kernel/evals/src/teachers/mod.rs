//! Teachers behind an API: any endpoint that speaks OpenAI's chat completions, such as
//! OpenRouter, vLLM or the server of llama.cpp.
//!
//! ```no_run
//! use offmodel_evals::{Teacher, generate_responses};
//! use offmodel_models::Sampling;
//!
//! let teacher = Teacher::load("gpt_4.1_nano")?; // or "smollm2", or "api:NAME"
//! let prompts = ["What is the capital of France?".to_owned()];
//! let sampling = Sampling::temperature(1.0);
//! let taught = generate_responses(&teacher, &prompts, None, &sampling, "gpt_4.1_nano")?;
//! println!("{taught}");
//! # Ok::<(), offmodel_evals::EvalError>(())
//! ```
//!
//! | module | purpose |
//! |---|---|
//! | `teacher`, `aliases` | [`Teacher`]: a local model or one behind an API, by name |
//! | `api_model` | [`ApiModel`]: the handle of a model behind an API |
//! | `endpoint`, `key` | [`Endpoint`]: address of an API; [`ApiKey`]: a key that cannot be shown |
//! | `request`, `api_response` | the bodies that are sent and received |
//! | `response_cache` | responses kept on disk, named by the hash of their request |
//! | `http_client`, `retry` | one request over HTTP, and when to send it again |
//! | `request_queue` | many requests at once |
//! | `usage` | [`Usage`]: tokens and cost |
//! | `server_text` | makes text of a server safe to show |

mod aliases;
mod api_model;
mod api_response;
mod endpoint;
mod error;
mod http_client;
mod key;
mod request;
mod request_queue;
mod response_cache;
mod retry;
mod server_text;
mod teacher;
mod usage;

pub use api_model::ApiModel;
pub use endpoint::Endpoint;
pub use error::{RequestProblem, TeacherError};
pub use key::ApiKey;
pub use retry::RetryPolicy;
pub use teacher::Teacher;
pub use usage::{Usage, UsageSummary};
