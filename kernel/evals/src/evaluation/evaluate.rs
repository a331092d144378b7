use offmodel_events::interrupt;
use offmodel_models::{Chat, Sampling};

use super::sample::{Evaluation, Sample};
use crate::benchmark::{Benchmark, Item, ResponseText};
use crate::{EvalError, LanguageModel, Reply};

/// Generates a response to every item of a benchmark, and grades it.
///
/// Shows a progress bar. After an interrupt, the finished responses of a local model are in the
/// error ([`ModelError::Stopped`](offmodel_models::ModelError::Stopped)); those of a teacher behind
/// an API are in its cache.
///
/// # Errors
/// If the benchmark has no items, or generation fails or is interrupted.
pub fn evaluate(
    model: &dyn LanguageModel,
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
    let replies = model.reply(&chats, sampling)?;
    if replies.len() != benchmark.items.len() {
        return Err(EvalError::ResponseCount {
            prompts: benchmark.items.len(),
            responses: replies.len(),
        });
    }
    let mut samples = Vec::with_capacity(replies.len());
    for (item, reply) in std::iter::zip(&benchmark.items, replies) {
        // Graders may be slow, so an interrupt is checked between samples.
        interrupt::check()?;
        samples.push(grade(benchmark, item, reply));
    }
    Ok(Evaluation {
        benchmark: benchmark.name.clone(),
        samples,
    })
}

fn grade(benchmark: &Benchmark, item: &Item, reply: Reply) -> Sample {
    let finished = reply.finish_reason.is_complete();
    let verdict = benchmark.grader.grade(
        item,
        ResponseText {
            text: &reply.text,
            finished,
        },
    );
    Sample {
        item: item.id.clone(),
        level: item.level,
        prompt: item.prompt.clone(),
        tokens: reply
            .usage
            .map_or(0, |usage| usage.completion_tokens as usize),
        finished,
        response: reply.text,
        extracted: verdict.extracted,
        expected: item.expected.clone(),
        correct: verdict.correct,
        explanation: verdict.explanation,
    }
}
