use offmodel_events::Interrupted;
use offmodel_models::ModelError;
use thiserror::Error;

use crate::teachers::TeacherError;

/// Why an evaluation or a generation of responses stopped.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The model failed, or was interrupted.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A teacher behind an API did not answer.
    #[error(transparent)]
    Teacher(#[from] TeacherError),
    /// The work was asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A benchmark without an item has no score.
    #[error("failed to evaluate: the benchmark {benchmark:?} has no items")]
    EmptyBenchmark {
        /// Its name.
        benchmark: String,
    },
    /// Two evaluations that are not of the same items.
    #[error(
        "failed to compare evaluations: {before:?} with {before_items} items and {after:?} with \
         {after_items} items are not the same items in the same order"
    )]
    DifferentItems {
        /// Benchmark of the earlier one.
        before: String,
        /// Its number of items.
        before_items: usize,
        /// Benchmark of the later one.
        after: String,
        /// Its number of items.
        after_items: usize,
    },
    /// The model answered another number of prompts than it was given.
    #[error("failed to evaluate: the model gave {responses} responses to {prompts} prompts")]
    ResponseCount {
        /// Prompts that were given.
        prompts: usize,
        /// Responses that came back.
        responses: usize,
    },
}
