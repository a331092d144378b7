//! What a student is trained on and how it is measured.
//!
//! As in inspect_ai, a task is items, a prompt and a grader; every sample's record is kept, and a
//! grader explains its verdict.
//!
//! - language models: [`LanguageModel`], what answers chats, wherever it runs;
//! - teachers: [`ApiModel`], a model behind an API, and [`Teacher`], by name either that or a
//!   local one;
//! - responses: [`ResponseSet`] in JSON lines, and [`generate_responses`] from a teacher, or from
//!   the student for the on-model control;
//! - [`off_model`]: a generator of chat prompts with answers in the style of a textbook;
//! - benchmarks: [`Benchmark`], [`Grader`], and the built-in [`arithmetic_ladder`];
//! - evaluation: [`evaluate`] gives an [`Evaluation`], [`change_by_level`] compares two;
//! - style: [`Style`] of one text, [`StyleRow`] of many.

mod atomic_file;
mod benchmark;
mod error;
mod evaluation;
mod language_model;
pub mod off_model;
mod responses;
mod style;
mod teachers;

pub use benchmark::{Answer, Benchmark, Grader, IntegerAnswer, Item, Verdict, arithmetic_ladder};
pub use error::EvalError;
pub use evaluation::{
    Evaluation, LevelChange, LevelScore, Sample, Score, change_by_level, evaluate,
};
pub use language_model::{Ending, LanguageModel, Reply};
pub use responses::{
    GeneratedResponses, LineProblem, MAXIMUM_LINE_BYTES, ResponseReader, ResponseRecord,
    ResponseSet, ResponseSetError, generate_responses,
};
pub use style::{Style, StyleRow};
pub use teachers::{
    ApiKey, ApiModel, Endpoint, RequestProblem, RetryPolicy, Teacher, TeacherError, Usage,
    UsageSummary,
};
