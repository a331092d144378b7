//! Requests, and how far their responses have come. No tensors: it outlives an interrupted call.

use std::sync::Arc;

use super::sampler::{self, Choice};
use super::schedule::{Bounds, Schedule};
use super::transcript::Transcript;
use super::{Finish, Piece, Response, Sampling};
use crate::adapter::Adapter;
use crate::{ModelError, Tokenizer};

/// One response to make.
pub(super) struct Request {
    /// The position of its prompt in the call, and which of the prompt's samples it is.
    pub(super) prompt: usize,
    pub(super) sample: usize,
    /// What the model reads first: the prompt and the response's beginning, at least one token.
    pub(super) tokens: Arc<[u32]>,
    /// How many of them are the response's beginning.
    pub(super) beginning: usize,
    pub(super) adapter: Option<Adapter>,
    /// Most tokens of the response, at least 1.
    pub(super) limit: usize,
    /// The stream of random numbers that it draws from.
    pub(super) stream: u64,
}

/// A response as far as it has come.
struct Draft {
    response: Response,
    transcript: Transcript,
    is_over: bool,
}

/// All requests of a call.
pub(crate) struct Work {
    pub(super) sampling: Sampling,
    pub(super) requests: Vec<Request>,
    pub(super) schedule: Schedule,
    drafts: Vec<Draft>,
    /// The model's end tokens.
    end: Vec<u32>,
}

impl Work {
    pub(super) fn new(
        requests: Vec<Request>,
        sampling: &Sampling,
        tokenizer: &Tokenizer,
        bounds: Bounds,
    ) -> Result<Self, ModelError> {
        let mut drafts = Vec::with_capacity(requests.len());
        for request in &requests {
            let prompt = request.tokens.len() - request.beginning;
            let (transcript, beginning) = Transcript::after(&request.tokens[prompt..], tokenizer)?;
            let response = Response {
                beginning,
                text: String::new(),
                tokens: vec![],
                log_probabilities: vec![],
                alternatives: vec![],
                finish: Finish::Length,
            };
            drafts.push(Draft {
                response,
                transcript,
                is_over: false,
            });
        }
        let lengths = requests.iter().map(|request| request.tokens.len());
        Ok(Self {
            sampling: sampling.clone(),
            schedule: Schedule::new(lengths.collect(), bounds),
            requests,
            drafts,
            end: tokenizer.end().to_vec(),
        })
    }

    /// The tokens of a request from `start` on, at most `count`, those that were said included.
    pub(super) fn tokens(&self, request: usize, start: usize, count: usize) -> Vec<u32> {
        let read = self.requests[request].tokens.iter();
        let said = self.drafts[request].response.tokens.iter();
        read.chain(said).skip(start).take(count).copied().collect()
    }

    /// The random bits of a request's next token.
    pub(super) fn draw(&self, request: usize) -> u32 {
        let position = self.drafts[request].response.tokens.len();
        sampler::draw(self.sampling.seed, self.requests[request].stream, position)
    }

    /// Tokens of one request's row that another's may be copied from because their prompt is the
    /// same. The prompt's last token is not among them: its step gives the response's first.
    pub(super) fn shared(&self, one: usize, other: usize) -> usize {
        let (one, other) = (&self.requests[one], &self.requests[other]);
        match one.prompt == other.prompt {
            true => one.tokens.len() - 1,
            false => 0,
        }
    }

    /// Appends the next token of a request.
    pub(super) fn extend(
        &mut self,
        request: usize,
        choice: Choice,
        tokenizer: &Tokenizer,
    ) -> Result<(), ModelError> {
        let limit = self.requests[request].limit;
        let draft = &mut self.drafts[request];
        let response = &mut draft.response;
        let (token, log_probability) = (choice.token, choice.log_probability);
        if !log_probability.is_finite() {
            return Err(ModelError::NotFinite {
                index: self.requests[request].prompt,
                position: response.tokens.len() + 1,
                found: log_probability,
            });
        }
        response.tokens.push(token);
        response.log_probabilities.push(log_probability);
        if !choice.alternatives.is_empty() {
            response.alternatives.push(choice.alternatives);
        }
        self.schedule.advance(request);
        let finish = if self.end.contains(&token) {
            Some(Finish::EndToken)
        } else if self.sampling.stop_tokens.contains(&token) {
            Some(Finish::StopToken)
        } else {
            draft.transcript.push(token, tokenizer)?;
            let stopped = draft.transcript.cut_at(&self.sampling.stop);
            stopped.then_some(Finish::StopString)
        };
        let is_full = response.tokens.len() >= limit;
        let Some(mut finish) = finish.or(is_full.then_some(Finish::Length)) else {
            return Ok(());
        };
        if finish != Finish::StopString {
            // Bytes that no further token makes a character of are text now.
            draft.transcript.end(tokenizer)?;
            if draft.transcript.cut_at(&self.sampling.stop) {
                finish = Finish::StopString;
            }
        }
        draft.transcript.text().clone_into(&mut response.text);
        response.finish = finish;
        draft.is_over = true;
        self.schedule.finish(request);
        Ok(())
    }

    /// A response, if it is finished.
    pub(super) fn response(&self, request: usize) -> Option<&Response> {
        let draft = &self.drafts[request];
        draft.is_over.then_some(&draft.response)
    }

    /// A response's text so far.
    pub(super) fn text(&self, request: usize) -> &str {
        self.drafts[request].transcript.text()
    }

    /// What a response has said since the last call; nothing where that is no text.
    pub(super) fn piece(&mut self, request: usize) -> Option<Piece> {
        let draft = &mut self.drafts[request];
        let text = draft
            .transcript
            .hand_out(&self.sampling.stop, draft.is_over);
        let finish = draft.is_over.then_some(draft.response.finish);
        if text.is_empty() && finish.is_none() {
            return None;
        }
        let Request { prompt, sample, .. } = self.requests[request];
        Some(Piece {
            prompt,
            sample,
            text: text.to_owned(),
            finish,
        })
    }

    /// Responses that are finished.
    pub(super) fn finished(&self) -> usize {
        self.drafts.iter().filter(|draft| draft.is_over).count()
    }

    /// Tokens of all responses so far.
    pub(super) fn said(&self) -> usize {
        self.drafts
            .iter()
            .map(|draft| draft.response.tokens.len())
            .sum()
    }
}
