use std::fmt;

use offmodel_models::{Chat, FinishReason, Sampling};

use super::record::ResponseRecord;
use super::set::ResponseSet;
use crate::{EvalError, LanguageModel, UsageSummary};

/// The result of [`generate_responses`].
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedResponses {
    /// The complete responses, in the order of the prompts.
    pub responses: ResponseSet,
    /// The number of responses that were dropped because they are incomplete, refused or empty.
    pub dropped: usize,
    /// The dropped responses by reason, most frequent first.
    pub dropped_by_reason: Vec<(FinishReason, usize)>,
    /// The tokens of all responses, dropped ones included.
    pub usage: UsageSummary,
}

/// Generates one response to each prompt: with a teacher for off-model training, or with the student
/// itself for the on-model control.
///
/// As in the study, a response that the model did not end itself is dropped, so that the student
/// never learns to stop in the middle; so is a response that an API reports as refused, withheld or
/// empty. The study samples at temperature 1. Every record holds `source`, the system prompt and the
/// seed. A prompt that occurs several times gets several responses.
///
/// # Errors
/// If generation fails or is interrupted. Responses of a teacher behind an API that arrived before
/// are in its cache, and cost nothing the next time.
pub fn generate_responses(
    model: &dyn LanguageModel,
    prompts: &[String],
    system: Option<&str>,
    sampling: &Sampling,
    source: &str,
) -> Result<GeneratedResponses, EvalError> {
    let chats: Vec<Chat> = prompts
        .iter()
        .map(|prompt| {
            let chat = Chat::user(prompt.clone());
            match system {
                Some(system) => chat.system(system),
                None => chat,
            }
        })
        .collect();
    let replies = model.reply(&chats, sampling)?;
    if replies.len() != prompts.len() {
        return Err(EvalError::ResponseCount {
            prompts: prompts.len(),
            responses: replies.len(),
        });
    }
    let usage = UsageSummary::of(&replies);
    let mut records = Vec::with_capacity(replies.len());
    let mut dropped_by_reason: Vec<(FinishReason, usize)> = Vec::new();
    for (prompt, reply) in std::iter::zip(prompts, replies) {
        if reply.finish_reason.is_complete() {
            records.push(ResponseRecord {
                prompt: prompt.clone(),
                response: reply.text,
                source: source.to_owned(),
                system: system.map(str::to_owned),
                seed: Some(sampling.seed),
            });
            continue;
        }
        let counted = dropped_by_reason
            .iter_mut()
            .find(|(reason, _)| *reason == reply.finish_reason);
        match counted {
            Some((_, count)) => *count += 1,
            None => dropped_by_reason.push((reply.finish_reason, 1)),
        }
    }
    dropped_by_reason.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    Ok(GeneratedResponses {
        dropped: prompts.len() - records.len(),
        responses: ResponseSet::new(records),
        dropped_by_reason,
        usage,
    })
}

impl fmt::Display for GeneratedResponses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.responses)?;
        if self.dropped > 0 {
            let reasons = self.dropped_by_reason.iter();
            let reasons: Vec<String> = reasons
                .map(|(reason, count)| format!("{count} {reason}"))
                .collect();
            write!(f, "\n{} dropped: {}", self.dropped, reasons.join(", "))?;
        }
        write!(f, "\n{}", self.usage)
    }
}
