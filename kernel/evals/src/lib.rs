//! The data that a student is trained on, and the benchmarks that measure it.
//!
//! As in inspect_ai, a benchmark consists of items, a prompt and a grader; the record of every
//! sample is kept, and each verdict is explained.
//!
//! | part | main items |
//! |---|---|
//! | language models | [`LanguageModel`]: local, or behind an API |
//! | teachers | [`ApiModel`], and [`Teacher`] by name, local or not |
//! | responses | [`ResponseSet`] in JSON lines; [`generate_responses`] by a teacher or the student |
//! | [`off_model`] | writes chat prompts with responses in the style of a textbook |
//! | benchmarks | [`Benchmark`], [`Grader`], the built-in [`arithmetic_ladder`] |
//! | evaluation | [`evaluate`] returns an [`Evaluation`]; [`change_by_level`] compares two |
//! | style | [`Style`] of one text, [`StyleRow`] of many |

mod benchmark;
mod error;
mod evaluation;
mod language_model;
pub mod off_model;
mod responses;
mod style;
mod teachers;

pub use benchmark::{
    Benchmark, Grader, IntegerAnswer, Item, ResponseText, Verdict, arithmetic_ladder,
};
pub use error::EvalError;
pub use evaluation::{
    Evaluation, LevelChange, LevelScore, Sample, Score, change_by_level, evaluate,
};
pub use language_model::{LanguageModel, Reply};
pub use responses::{
    GeneratedResponses, LineProblem, MAX_LINE_BYTES, ResponseReader, ResponseRecord, ResponseSet,
    ResponseSetError, generate_responses,
};
pub use style::{Style, StyleRow};
pub use teachers::{
    ApiKey, ApiModel, Endpoint, RequestProblem, RetryPolicy, Teacher, TeacherError, Usage,
    UsageSummary,
};
