//! One turn of the loop in which responses get their tokens.
//!
//! A turn gives rows of the cache to the requests that the schedule has admitted, then either fills
//! rows with what precedes their next token, a bounded number of tokens at a time, or, once all are
//! filled, takes a step: one token for every row. Where a row's contents come from makes no
//! difference: a prompt, a prompt and what has been said (after memory ran out), or another row of
//! the same prompt.

use tch::{TchError, Tensor};

use super::memory::is_out_of_memory;
use super::sampler;
use super::schedule::TooLarge;
use super::work::Work;
use crate::adapter::Adapters;
use crate::transformer::{CacheError, KvCache, PackedSequences, Transformer};
use crate::{ModelError, Tokenizer};

/// Most tokens that are processed at once to fill rows.
const FILL: usize = 2048;
/// What this becomes at the least where memory is short.
const LEAST_FILL: usize = 64;

/// What the loop needs of a model.
#[derive(Clone, Copy)]
pub(super) struct Decoder<'a> {
    pub(super) transformer: &'a Transformer,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) device: tch::Device,
}

/// The rows of the cache, and what was learnt about the memory.
pub(super) struct Rows {
    pub(super) cache: KvCache,
    /// Tokens that are processed at once.
    pub(super) fill: usize,
    /// A request that ran out of memory alone, and the tokens that it had then.
    alone: Option<(usize, usize)>,
}

/// What can end a turn.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Model(ModelError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("the cache may take {limit} bytes, {needed} are needed")]
    TooLarge {
        request: usize,
        needed: u64,
        limit: u64,
    },
}

impl From<ModelError> for TurnError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Torch(error) => error.into(),
            error => Self::Model(error),
        }
    }
}

impl From<TchError> for TurnError {
    fn from(error: TchError) -> Self {
        Self::Cache(CacheError::Torch(error))
    }
}

impl Rows {
    pub(super) fn new(cache: KvCache) -> Self {
        Self {
            cache,
            fill: FILL,
            alone: None,
        }
    }
}

impl Decoder<'_> {
    /// Takes a turn; returns the requests that got a token. If the memory of the device is full,
    /// fewer requests go on, and the others wait with the tokens they have.
    pub(super) fn turn(&self, work: &mut Work, rows: &mut Rows) -> Result<Vec<usize>, ModelError> {
        match self.attempt(work, rows) {
            Ok(grown) => Ok(grown),
            Err(TurnError::Model(error)) => Err(error),
            Err(error @ TurnError::TooLarge { request, .. }) => {
                Err(self.out_of_memory(work, request, &error))
            }
            Err(TurnError::Cache(CacheError::Torch(error))) if !is_out_of_memory(&error) => {
                Err(error.into())
            }
            Err(error @ TurnError::Cache(_)) => {
                self.recover(work, rows, &error)?;
                Ok(vec![])
            }
        }
    }

    fn attempt(&self, work: &mut Work, rows: &mut Rows) -> Result<Vec<usize>, TurnError> {
        let bytes_per_token = rows.cache.bytes_per_token();
        work.schedule
            .admit()
            .map_err(|TooLarge { request, needed }| TurnError::TooLarge {
                request,
                needed: needed * bytes_per_token,
                limit: rows.cache.limit_bytes(),
            })?;
        let all_placed = place(work, &mut rows.cache)?;
        if self.fill(work, rows)? || !all_placed {
            return Ok(vec![]);
        }
        rows.cache.grow_full_rows()?;
        self.step(work, &mut rows.cache)
    }

    /// Processes the next tokens of rows that lack some before their next one can be computed;
    /// whether there were any.
    fn fill(&self, work: &Work, rows: &mut Rows) -> Result<bool, TurnError> {
        let (mut owners, mut parts) = (Vec::new(), Vec::new());
        let mut left = rows.fill;
        for &request in work.schedule.running() {
            let Some(filled) = rows.cache.length(request) else {
                continue;
            };
            let count = (work.schedule.tokens(request) - 1 - filled).min(left);
            if count > 0 {
                owners.push(request);
                parts.push((filled, work.tokens(request, filled, count)));
                left -= count;
            }
        }
        if owners.is_empty() {
            return Ok(false);
        }
        let adapter = |&owner: &usize| work.requests[owner].adapter.as_ref();
        let parts_of = parts
            .iter()
            .map(|(start, tokens)| (*start, tokens.as_slice()));
        let packed = PackedSequences::chunks(parts_of, self.device)?;
        let sequences = owners
            .iter()
            .map(adapter)
            .zip(packed.lengths.iter().copied());
        let adapters = Adapters::of_sequences(sequences, self.device)?;
        self.transformer
            .prefill(&packed, &owners, &mut rows.cache, &adapters)?;
        Ok(true)
    }

    /// One more token for every row.
    fn step(&self, work: &mut Work, cache: &mut KvCache) -> Result<Vec<usize>, TurnError> {
        let owners: Vec<usize> = cache.sequences().collect();
        let last = |&owner: &usize| work.tokens(owner, work.schedule.tokens(owner) - 1, 1);
        let tokens = owners.iter().flat_map(last).map(i64::from);
        let tokens = Tensor::f_from_slice(&tokens.collect::<Vec<_>>())?.f_to_device(self.device)?;
        let adapter = |&owner: &usize| work.requests[owner].adapter.as_ref();
        let adapters = Adapters::of_rows(owners.iter().map(adapter), self.device)?;
        let output = self.transformer.decode(&tokens, cache, &adapters)?;
        let logits = self.transformer.logits(&output, &adapters)?;
        let draws: Vec<u32> = owners.iter().map(|&owner| work.draw(owner)).collect();
        let choices = sampler::choose(&logits, &work.sampling, &draws)?;
        for (&owner, choice) in owners.iter().zip(choices) {
            work.extend(owner, choice, self.tokenizer)?;
        }
        Ok(owners)
    }

    /// Makes the next turn need less memory than the one that failed.
    fn recover(
        &self,
        work: &mut Work,
        rows: &mut Rows,
        error: &TurnError,
    ) -> Result<(), ModelError> {
        if work.schedule.shrink() {
            remove_others(work, &mut rows.cache)?;
            return Ok(());
        }
        // One request alone: once more with nothing else in the memory, then in smaller parts.
        rows.cache.clear();
        let Some(&request) = work.schedule.running().first() else {
            return Err(self.out_of_memory(work, 0, error));
        };
        let now = Some((request, work.schedule.tokens(request)));
        if rows.alone == now {
            if rows.fill <= LEAST_FILL {
                return Err(self.out_of_memory(work, request, error));
            }
            rows.fill /= 2;
        }
        rows.alone = now;
        Ok(())
    }

    fn out_of_memory(&self, work: &Work, request: usize, error: &TurnError) -> ModelError {
        let detail = error.to_string();
        ModelError::OutOfMemory {
            index: work
                .requests
                .get(request)
                .map_or(0, |request| request.prompt),
            tokens: work.schedule.tokens(request),
            device: self.device,
            // libtorch adds its own call stack.
            detail: detail.lines().next().unwrap_or_default().to_owned(),
        }
    }
}

/// Gives every request in progress a row, and takes the rows of all others; whether all have one.
fn place(work: &Work, cache: &mut KvCache) -> Result<bool, CacheError> {
    for &request in work.schedule.running() {
        // A step that failed after its last layer has left a token too many.
        cache.truncate(request, work.schedule.tokens(request) - 1);
    }
    let all_placed = match give_rows(work, cache) {
        Err(CacheError::Full { .. }) if remove_others(work, cache)? => give_rows(work, cache)?,
        result => result?,
    };
    remove_others(work, cache)?;
    Ok(all_placed)
}

/// A request waits for the row of another while that is being filled with the same prompt.
fn give_rows(work: &Work, cache: &mut KvCache) -> Result<bool, CacheError> {
    let mut waiting: Vec<usize> = work.schedule.running().to_vec();
    waiting.retain(|&request| cache.length(request).is_none());
    // A finished row of the same prompt is cut back to it and goes on as another's.
    waiting.retain(|&request| {
        let tokens = work.schedule.tokens(request);
        !finished_rows(work, cache).into_iter().any(|other| {
            let shared = work.shared(request, other);
            shared > 0 && cache.reuse(other, request, shared, tokens)
        })
    });
    for owner in finished_rows(work, cache) {
        if waiting
            .iter()
            .all(|&request| work.shared(request, owner) == 0)
        {
            cache.remove(owner)?;
        }
    }
    let mut all_placed = true;
    for request in waiting {
        let tokens = work.schedule.tokens(request);
        let siblings = cache
            .sequences()
            .filter(|&other| work.shared(request, other) > 0);
        match siblings.max_by_key(|&other| cache.length(other)) {
            None => cache.insert(request, tokens)?,
            Some(other) if cache.length(other) >= Some(work.shared(request, other)) => {
                cache.fork(other, request, work.shared(request, other), tokens)?;
            }
            Some(_) => all_placed = false,
        }
    }
    Ok(all_placed)
}

/// Rows of requests that are not in progress any more.
fn finished_rows(work: &Work, cache: &KvCache) -> Vec<usize> {
    let running = work.schedule.running();
    cache
        .sequences()
        .filter(|owner| !running.contains(owner))
        .collect()
}

/// Removes rows of requests that are not in progress; whether there were any.
fn remove_others(work: &Work, cache: &mut KvCache) -> Result<bool, TchError> {
    let others = finished_rows(work, cache);
    for &owner in &others {
        cache.remove(owner)?;
    }
    Ok(!others.is_empty())
}
