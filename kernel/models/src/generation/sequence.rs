//! Sequences: the requests of a call and the responses to them so far.
//!
//! Nothing here holds a tensor, so sequences outlive an interrupted call without taking memory on
//! the device.

use std::fmt;
use std::sync::Arc;

use super::detokenizer::IncrementalDetokenizer;
use super::sampler::{self, SampledToken};
use super::scheduler::Scheduler;
use super::{Alternative, Delta, FinishReason, Response, Sampling};
use crate::adapter::Adapter;
use crate::{ModelError, Tokenizer};

/// One response that is to be generated.
pub(super) struct Request {
    /// The position of the prompt in the call.
    pub(super) prompt: usize,
    /// Which of the prompt's samples this is.
    pub(super) sample: usize,
    /// The tokens of the prompt and the prefill; at least one.
    pub(super) tokens: Arc<[u32]>,
    /// How many of `tokens` are the prefill.
    pub(super) prefill: usize,
    pub(super) adapter: Option<Adapter>,
    /// At least 1.
    pub(super) max_new_tokens: usize,
    /// The stream of the random number generator from which the response is sampled.
    pub(super) random_stream: u64,
}

/// One row of the batch.
struct Sequence {
    request: Request,
    response: PartialResponse,
}

/// A response as far as it is generated.
struct PartialResponse {
    /// The text of the prefill.
    prefill: String,
    tokens: Vec<u32>,
    log_probabilities: Vec<f32>,
    alternatives: Vec<Vec<Alternative>>,
    detokenizer: IncrementalDetokenizer,
    /// Present once the response is finished.
    finish_reason: Option<FinishReason>,
}

/// All sequences of a call, known by their index, and the scheduler that orders them.
pub(super) struct Sequences {
    pub(super) sampling: Sampling,
    pub(super) scheduler: Scheduler,
    sequences: Vec<Sequence>,
    eos_token_ids: Vec<u32>,
}

impl Sequences {
    pub(super) fn new(
        requests: Vec<Request>,
        sampling: &Sampling,
        tokenizer: &Tokenizer,
    ) -> Result<Self, ModelError> {
        let lengths = requests.iter().map(|request| request.tokens.len());
        let scheduler = Scheduler::new(lengths.collect());
        let mut sequences = Vec::with_capacity(requests.len());
        for request in requests {
            let response = PartialResponse::new(&request, tokenizer)?;
            sequences.push(Sequence { request, response });
        }
        Ok(Self {
            sampling: sampling.clone(),
            scheduler,
            sequences,
            eos_token_ids: tokenizer.eos_token_ids().to_vec(),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.sequences.len()
    }

    pub(super) fn request(&self, sequence: usize) -> &Request {
        &self.sequences[sequence].request
    }

    /// At most `count` tokens of a sequence from position `start` on: prompt, prefill, then
    /// generated tokens.
    pub(super) fn tokens(&self, sequence: usize, start: usize, count: usize) -> Vec<u32> {
        let Sequence { request, response } = &self.sequences[sequence];
        let tokens = request.tokens.iter().chain(&response.tokens);
        tokens.skip(start).take(count).copied().collect()
    }

    /// The random bits with which the next token of a sequence is sampled.
    pub(super) fn random_bits(&self, sequence: usize) -> u32 {
        let Sequence { request, response } = &self.sequences[sequence];
        let position = response.tokens.len();
        sampler::random_bits(self.sampling.seed, request.random_stream, position)
    }

    /// How many leading tokens of two sequences can share keys and values: those of a common
    /// prompt, except the last, whose forward pass yields the logits of the first generated token.
    pub(super) fn shared_prefix(&self, one: usize, other: usize) -> usize {
        let (one, other) = (self.request(one), self.request(other));
        if one.prompt == other.prompt {
            one.tokens.len() - 1
        } else {
            0
        }
    }

    /// Appends a sampled token to a sequence, and finishes the response if the token ends it.
    pub(super) fn push(
        &mut self,
        sequence: usize,
        sampled: SampledToken,
        tokenizer: &Tokenizer,
    ) -> Result<(), ModelError> {
        let Sequence { request, response } = &mut self.sequences[sequence];
        let (token, log_probability) = (sampled.token, sampled.log_probability);
        if !log_probability.is_finite() {
            return Err(ModelError::NotFinite {
                index: request.prompt,
                position: response.tokens.len() + 1,
                found: log_probability,
            });
        }
        response.tokens.push(token);
        response.log_probabilities.push(log_probability);
        if !sampled.alternatives.is_empty() {
            response.alternatives.push(sampled.alternatives);
        }
        self.scheduler.advance(sequence);

        let stop_strings = &self.sampling.stop;
        let ended = if self.eos_token_ids.contains(&token) {
            Some(FinishReason::EndToken)
        } else if self.sampling.stop_tokens.contains(&token) {
            Some(FinishReason::StopToken)
        } else {
            response.detokenizer.push(token, tokenizer)?;
            let is_stopped = response.detokenizer.truncate_at_stop(stop_strings);
            is_stopped.then_some(FinishReason::StopString)
        };
        let is_full = response.tokens.len() >= request.max_new_tokens;
        let Some(mut reason) = ended.or(is_full.then_some(FinishReason::Length)) else {
            return Ok(());
        };
        if reason != FinishReason::StopString {
            // Bytes of an incomplete character become text now, which may complete a stop string.
            response.detokenizer.flush(tokenizer)?;
            if response.detokenizer.truncate_at_stop(stop_strings) {
                reason = FinishReason::StopString;
            }
        }
        response.finish_reason = Some(reason);
        self.scheduler.finish(sequence);
        Ok(())
    }

    /// All responses in the order of the requests; absent where one is not finished.
    pub(super) fn responses(&self) -> impl Iterator<Item = Option<Response>> {
        let responses = self.sequences.iter().map(|sequence| &sequence.response);
        responses.map(PartialResponse::finished)
    }

    /// The text of a response so far.
    pub(super) fn text(&self, sequence: usize) -> &str {
        self.sequences[sequence].response.detokenizer.text()
    }

    /// The text of a response since the last call, if there is any or the response has finished.
    pub(super) fn next_delta(&mut self, sequence: usize) -> Option<Delta> {
        let Sequence { request, response } = &mut self.sequences[sequence];
        let finish_reason = response.finish_reason.clone();
        let is_finished = finish_reason.is_some();
        let text = response
            .detokenizer
            .take_new_text(&self.sampling.stop, is_finished);
        if text.is_empty() && !is_finished {
            return None;
        }
        Some(Delta {
            prompt: request.prompt,
            sample: request.sample,
            text: text.to_owned(),
            finish_reason,
        })
    }

    /// How many responses are finished.
    pub(super) fn finished(&self) -> usize {
        let responses = self.sequences.iter().map(|sequence| &sequence.response);
        responses
            .filter(|response| response.finish_reason.is_some())
            .count()
    }

    fn generated_tokens(&self) -> usize {
        let responses = self.sequences.iter().map(|sequence| &sequence.response);
        responses.map(|response| response.tokens.len()).sum()
    }
}

impl fmt::Display for Sequences {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} of {} responses finished ({} tokens so far)",
            self.finished(),
            self.len(),
            self.generated_tokens(),
        )
    }
}

impl PartialResponse {
    fn new(request: &Request, tokenizer: &Tokenizer) -> Result<Self, ModelError> {
        let prompt = request.tokens.len() - request.prefill;
        let (detokenizer, prefill) =
            IncrementalDetokenizer::after_prefill(&request.tokens[prompt..], tokenizer)?;
        Ok(Self {
            prefill,
            tokens: vec![],
            log_probabilities: vec![],
            alternatives: vec![],
            detokenizer,
            finish_reason: None,
        })
    }

    fn finished(&self) -> Option<Response> {
        let finish_reason = self.finish_reason.clone()?;
        Some(Response {
            prefill: self.prefill.clone(),
            text: self.detokenizer.text().to_owned(),
            tokens: self.tokens.clone(),
            log_probabilities: self.log_probabilities.clone(),
            alternatives: self.alternatives.clone(),
            finish_reason,
        })
    }
}
