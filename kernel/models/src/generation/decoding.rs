//! The decoding loop: a queue of requests over rows in progress.

use std::collections::VecDeque;

use offmodel_events::{Progress, interrupt};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, TchError, Tensor};

use super::sampler::{self, Choice};
use super::{Finish, Sampling};
use crate::adapter::{Adapter, Adapters};
use crate::transformer::{KeyValueCache, Packed, Transformer};
use crate::{Configuration, ModelError};

/// Rows in progress at once. More raises the tokens per second until the device computes as long
/// as it reads weights.
const MOST_ROWS: usize = 32;
/// Prompt tokens that are processed at once, if there is more than one prompt.
const PREFILL_TOKENS: usize = 2048;
/// Room that a row has for its response to begin with.
const FIRST_ROOM: usize = 256;

/// A prompt to respond to.
pub(crate) struct Request<'a> {
    pub(crate) prompt: Vec<u32>,
    pub(crate) adapter: Option<&'a Adapter>,
    /// Most tokens of the response, at least 1.
    pub(crate) limit: usize,
}

/// The tokens of a response.
pub(crate) struct Answer {
    pub(crate) tokens: Vec<u32>,
    pub(crate) log_probabilities: Vec<f32>,
    pub(crate) finish: Finish,
}

/// What the loop needs of a model.
#[derive(Clone, Copy)]
pub(crate) struct Decoder<'a> {
    pub(crate) transformer: &'a Transformer,
    pub(crate) configuration: &'a Configuration,
    pub(crate) end: &'a [u32],
    pub(crate) device: Device,
}

/// A response in progress.
struct Row<'a> {
    request: usize,
    adapter: Option<&'a Adapter>,
    limit: usize,
    random: ChaCha8Rng,
    answer: Answer,
}

/// Answers every request, in order. As rows finish, waiting requests take their place.
pub(crate) fn respond(
    decoder: Decoder,
    requests: &[Request],
    sampling: &Sampling,
) -> Result<Vec<Answer>, ModelError> {
    let _no_grad = tch::no_grad_guard();
    let mut progress = Progress::new("generating", requests.len() as u64);
    let mut answers: Vec<Option<Answer>> = requests.iter().map(|_| None).collect();
    let mut waiting: VecDeque<usize> = (0..requests.len()).collect();
    let mut rows: Vec<Row> = Vec::new();
    let mut cache = decoder.cache(requests)?;

    while !(waiting.is_empty() && rows.is_empty()) {
        interrupt::check()?;
        let admitted = admit(&mut waiting, requests, MOST_ROWS - rows.len());
        let logits = if admitted.is_empty() {
            decoder.step(&rows, &mut cache)?
        } else {
            decoder.prefill(&admitted, requests, &mut cache)?
        };
        // A prefill has logits for the rows it added, a step for all rows.
        let first = if admitted.is_empty() { 0 } else { rows.len() };
        rows.extend(
            admitted
                .iter()
                .map(|&index| Row::new(index, &requests[index], sampling)),
        );
        let choice = sampler::choose(&logits, sampling, |row| rows[first + row].random.random())?;
        extend(&mut rows[first..], &choice, decoder.end)?;

        for index in (0..rows.len()).rev().filter(|&index| index >= first) {
            if rows[index].is_finished() {
                cache.swap_remove(index)?;
                let row = rows.swap_remove(index);
                answers[row.request] = Some(row.answer);
                progress.advance(1);
            }
        }
    }
    Ok(answers.into_iter().flatten().collect())
}

/// Takes from the queue what fits into `free` rows and one prefill; at least one if a row is free.
fn admit(waiting: &mut VecDeque<usize>, requests: &[Request], free: usize) -> Vec<usize> {
    let mut admitted = Vec::new();
    let mut tokens = 0;
    while admitted.len() < free
        && let Some(&next) = waiting.front()
    {
        tokens += requests[next].prompt.len();
        if !admitted.is_empty() && tokens > PREFILL_TOKENS {
            break;
        }
        admitted.push(next);
        waiting.pop_front();
    }
    admitted
}

fn extend(rows: &mut [Row], choice: &Choice, end: &[u32]) -> Result<(), ModelError> {
    let choices = choice.tokens.iter().zip(&choice.log_probabilities);
    for (row, (&token, &log_probability)) in rows.iter_mut().zip(choices) {
        if !log_probability.is_finite() {
            return Err(ModelError::NotFinite {
                index: row.request,
                position: row.answer.tokens.len() + 1,
                found: log_probability,
            });
        }
        // Token ids come from a vocabulary that is indexed by u32.
        let token = token as u32;
        row.answer.tokens.push(token);
        row.answer.log_probabilities.push(log_probability);
        if end.contains(&token) {
            row.answer.finish = Finish::EndToken;
        }
    }
    Ok(())
}

impl<'a> Row<'a> {
    fn new(index: usize, request: &Request<'a>, sampling: &Sampling) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(sampling.seed);
        random.set_stream(index as u64);
        let answer = Answer {
            tokens: vec![],
            log_probabilities: vec![],
            finish: Finish::Length,
        };
        Self {
            request: index,
            adapter: request.adapter,
            limit: request.limit,
            random,
            answer,
        }
    }

    fn is_finished(&self) -> bool {
        self.answer.finish == Finish::EndToken || self.answer.tokens.len() >= self.limit
    }
}

impl Decoder<'_> {
    fn cache(&self, requests: &[Request]) -> Result<KeyValueCache, TchError> {
        let rows = requests.len().min(MOST_ROWS);
        let room = |request: &Request| request.prompt.len() + request.limit.min(FIRST_ROOM);
        let capacity = requests.iter().map(room).max().unwrap_or(0);
        let slots = self.transformer.cache_slots().to_vec();
        KeyValueCache::new(slots, rows as i64, capacity as i64)
    }

    /// Processes the prompts of `admitted`; returns the logits of their first tokens.
    fn prefill(
        &self,
        admitted: &[usize],
        requests: &[Request],
        cache: &mut KeyValueCache,
    ) -> Result<Tensor, TchError> {
        let prompts = admitted
            .iter()
            .map(|&index| requests[index].prompt.as_slice());
        let packed = Packed::new(prompts, self.device)?;
        let adapter = |&index: &usize| requests[index].adapter;
        let sequences = admitted
            .iter()
            .map(adapter)
            .zip(packed.lengths.iter().copied());
        let adapters = Adapters::of_sequences(sequences, self.device)?;
        let output = self.transformer.prefill(&packed, cache, &adapters)?;
        let mut end = 0;
        let last: Vec<i64> = packed
            .lengths
            .iter()
            .map(|length| {
                end += length;
                end - 1
            })
            .collect();
        let last = Tensor::f_from_slice(&last)?.f_to_device(self.device)?;
        let adapters = Adapters::of_rows(admitted.iter().map(adapter), self.device)?;
        self.transformer
            .logits(&output.f_index_select(0, &last)?, &adapters)
    }

    /// Feeds each row's last token; returns the logits of its next.
    fn step(&self, rows: &[Row], cache: &mut KeyValueCache) -> Result<Tensor, TchError> {
        let last = |row: &Row| {
            row.answer
                .tokens
                .last()
                .map_or(0, |&token| i64::from(token))
        };
        let tokens: Vec<i64> = rows.iter().map(last).collect();
        let tokens = Tensor::f_from_slice(&tokens)?.f_to_device(self.device)?;
        let adapters = Adapters::of_rows(rows.iter().map(|row| row.adapter), self.device)?;
        let output = self.transformer.decode(&tokens, cache, &adapters)?;
        self.transformer.logits(&output, &adapters)
    }
}
