use offmodel_events::Interrupted;
use offmodel_models::ModelError;
use thiserror::Error;

use crate::teachers::TeacherError;

/// Why an evaluation, or the generation of responses, failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The model failed, or was interrupted.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A teacher behind an API did not respond.
    #[error(transparent)]
    Teacher(#[from] TeacherError),
    /// The user interrupted the work.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// The benchmark has no items, so it has no score.
    #[error("failed to evaluate: the benchmark {benchmark:?} has no items")]
    EmptyBenchmark {
        /// Name of the benchmark.
        benchmark: String,
    },
    /// The two evaluations cover different items.
    #[error(
        "failed to compare evaluations: {before:?} ({before_items} items) and {after:?} ({after_items} \
         items) must have the same items in the same order"
    )]
    DifferentItems {
        /// Benchmark of the earlier evaluation.
        before: String,
        /// Number of items in the earlier evaluation.
        before_items: usize,
        /// Benchmark of the later evaluation.
        after: String,
        /// Number of items in the later evaluation.
        after_items: usize,
    },
    /// The model returned a different number of responses than it was given prompts.
    #[error("failed to evaluate: the model gave {responses} responses to {prompts} prompts")]
    ResponseCount {
        /// Prompts that were given.
        prompts: usize,
        /// Responses that were returned.
        responses: usize,
    },
}
