use offmodel_events::interrupt;
use offmodel_models::{Chat, Model, Response, Sampling};

use super::sample::{Evaluation, Sample};
use crate::EvalError;
use crate::benchmark::{Answer, Benchmark, Item};

/// Asks the model every item of a benchmark, in batches, and grades the answers.
///
/// Shows a progress bar; an interrupt ends it with an error and leaves the model as it is, with the
/// responses that are finished ([`Model::stopped`]).
///
/// # Errors
/// When the benchmark has no items, or generation fails or is interrupted.
pub fn evaluate(
    model: &Model,
    benchmark: &Benchmark,
    sampling: &Sampling,
) -> Result<Evaluation, EvalError> {
    if benchmark.items.is_empty() {
        return Err(EvalError::EmptyBenchmark {
            benchmark: benchmark.name.clone(),
        });
    }
    let chats: Vec<Chat> = benchmark
        .items
        .iter()
        .map(|item| benchmark.chat(item))
        .collect();
    let responses = model.generate(&chats, sampling)?;
    if responses.len() != benchmark.items.len() {
        return Err(EvalError::ResponseCount {
            prompts: benchmark.items.len(),
            responses: responses.len(),
        });
    }
    let mut samples = Vec::with_capacity(responses.len());
    for (item, response) in std::iter::zip(&benchmark.items, responses) {
        // A grader may be slow.
        interrupt::check()?;
        samples.push(graded(benchmark, item, response));
    }
    Ok(Evaluation {
        benchmark: benchmark.name.clone(),
        samples,
    })
}

fn graded(benchmark: &Benchmark, item: &Item, response: Response) -> Sample {
    let finished = response.finish.is_complete();
    let verdict = benchmark.grader.grade(
        item,
        Answer {
            text: &response.text,
            finished,
        },
    );
    Sample {
        item: item.id.clone(),
        level: item.level,
        prompt: item.prompt.clone(),
        tokens: response.tokens.len(),
        finished,
        response: response.text,
        extracted: verdict.extracted,
        expected: item.expected.clone(),
        correct: verdict.correct,
        explanation: verdict.explanation,
    }
}
