use std::fmt;

use offmodel_models::{Chat, Sampling};

use super::record::ResponseRecord;
use super::set::ResponseSet;
use crate::{Ending, EvalError, LanguageModel, UsageSummary};

/// A model's responses to prompts.
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratedResponses {
    /// The responses that the model ended, in the order of the prompts.
    pub responses: ResponseSet,
    /// How many were dropped because something else ended them, or nothing was said.
    pub dropped: usize,
    /// How many of those ended in which way, the most frequent first.
    pub dropped_by_ending: Vec<(Ending, usize)>,
    /// The tokens that all of them took, the dropped ones included.
    pub usage: UsageSummary,
}

/// Lets a model answer prompts, one response each: a teacher's for off-model training, or the
/// student's own for the on-model control.
///
/// As in the study, a response that the model did not end is dropped, so that nothing is trained
/// on that stops in the middle; likewise one that a teacher's API marks as refused, withheld or
/// empty. The study samples at temperature 1. `source` is written into every record, with the
/// system prompt and the seed. A prompt that is given several times gets several responses.
///
/// # Errors
/// When the model fails to answer or is interrupted. Of a teacher behind an API what was answered
/// is in its cache, and costs nothing the next time.
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
    let mut dropped_by_ending: Vec<(Ending, usize)> = Vec::new();
    for (prompt, reply) in std::iter::zip(prompts, replies) {
        if reply.ending == Ending::Stop {
            records.push(ResponseRecord {
                prompt: prompt.clone(),
                response: reply.text,
                source: source.to_owned(),
                system: system.map(str::to_owned),
                seed: Some(sampling.seed),
            });
            continue;
        }
        let counted = dropped_by_ending
            .iter_mut()
            .find(|(ending, _)| *ending == reply.ending);
        match counted {
            Some((_, count)) => *count += 1,
            None => dropped_by_ending.push((reply.ending, 1)),
        }
    }
    dropped_by_ending.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    Ok(GeneratedResponses {
        dropped: prompts.len() - records.len(),
        responses: ResponseSet::new(records),
        dropped_by_ending,
        usage,
    })
}

impl fmt::Display for GeneratedResponses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.responses)?;
        if self.dropped > 0 {
            let endings = self.dropped_by_ending.iter();
            let endings: Vec<String> = endings
                .map(|(ending, count)| format!("{count} {ending}"))
                .collect();
            write!(f, "\n{} dropped: {}", self.dropped, endings.join(", "))?;
        }
        write!(f, "\n{}", self.usage)
    }
}
