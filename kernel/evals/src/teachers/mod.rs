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
//! - [`Teacher`]: a local model or one behind an API, by name; [`aliases`]: the study's names;
//! - [`ApiModel`]: the handle of a model behind an API; [`Endpoint`]: where it is;
//!   [`ApiKey`]: a key that cannot be shown;
//! - [`request`]: what is asked, and its identity; [`answer`]: what servers answer;
//!   [`Usage`]: what it took; [`cache`]: answers kept on disk;
//! - [`exchange`]: one request and one answer; [`retry`]: when to ask again;
//!   [`dispatch`]: many requests at once.

mod aliases;
mod answer;
mod api_model;
mod cache;
mod dispatch;
mod endpoint;
mod error;
mod exchange;
mod key;
mod request;
mod retry;
mod teacher;
mod untrusted;
mod usage;

pub use api_model::ApiModel;
pub use endpoint::Endpoint;
pub use error::{RequestProblem, TeacherError};
pub use key::ApiKey;
pub use retry::RetryPolicy;
pub use teacher::Teacher;
pub use usage::{Usage, UsageSummary};
