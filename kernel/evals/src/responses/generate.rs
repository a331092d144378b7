use offmodel_models::{Chat, Model, Sampling};

use super::record::ResponseRecord;
use super::set::ResponseSet;
use crate::EvalError;

/// A model's own responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GeneratedResponses {
    /// The responses that ended, in the order of the prompts.
    pub responses: ResponseSet,
    /// How many were dropped because they reached the token limit.
    pub dropped: usize,
}

/// Lets a model answer prompts, one response each, for the on-model control.
///
/// As in the study, a response that is cut off by the token limit is dropped, so that nothing is
/// trained on that stops in the middle. The study samples at temperature 1. `source` is
/// written into every record, with the system prompt and the seed.
///
/// # Errors
/// When generation fails or is interrupted.
pub fn generate_responses(
    model: &Model,
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
    let responses = model.generate(&chats, sampling)?;
    let records: Vec<ResponseRecord> = std::iter::zip(prompts, responses)
        .filter(|(_, response)| response.finish.is_complete())
        .map(|(prompt, response)| ResponseRecord {
            prompt: prompt.clone(),
            response: response.text,
            source: source.to_owned(),
            system: system.map(str::to_owned),
            seed: Some(sampling.seed),
        })
        .collect();
    Ok(GeneratedResponses {
        dropped: prompts.len() - records.len(),
        responses: ResponseSet::new(records),
    })
}
