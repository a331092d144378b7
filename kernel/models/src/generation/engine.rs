//! One step of the generation engine.
//!
//! A step moves the sequences in progress on, either by a chunk of prompt tokens or by one
//! generated token each:
//!
//! 1. **Admit** the sequences that the scheduler has room for ([`Scheduler::admit`]).
//! 2. **Share prefixes**: give each of them a row of the key-value cache. Sequences with the same
//!    prompt compute its keys and values once and copy them.
//! 3. **Prefill** rows that lack tokens, at most `prefill_chunk` tokens in one forward pass. The
//!    step then ends.
//! 4. **Decode**: when no row lacks tokens, one forward pass with the last token of every row
//!    yields the next token of every sequence.
//! 5. **Recover from out of memory**: let fewer sequences be in progress, then retry. A preempted
//!    sequence keeps its tokens; its row is prefilled again later.
//!
//! A row's keys and values are the same whether they come from a prefill, from an earlier decode
//! or from the row of another sequence. That is why nothing here changes a response.
//!
//! [`Scheduler::admit`]: super::scheduler::Scheduler::admit

use tch::{TchError, Tensor};

use super::kv_cache::is_out_of_memory;
use super::sampler;
use super::scheduler::TooLarge;
use super::sequence::Sequences;
use crate::adapter::{Adapter, Adapters};
use crate::transformer::{CacheError, KvCache, PackedSequences, Transformer};
use crate::{ModelError, Tokenizer};

/// Tokens of one prefill pass, unless memory is short.
const MAX_PREFILL_TOKENS: usize = 2048;
/// Below this many tokens, a smaller prefill pass saves hardly any memory.
const MIN_PREFILL_TOKENS: usize = 64;

/// The parts of a model that generation needs.
#[derive(Clone, Copy)]
pub(super) struct Engine<'a> {
    pub(super) transformer: &'a Transformer,
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) device: tch::Device,
}

/// Everything that generation keeps on the device, and what it has learned about the memory there.
pub(super) struct DeviceState {
    /// One row for each sequence in progress, owned by the sequence's index.
    cache: KvCache,
    /// Tokens of one prefill pass.
    pub(super) prefill_chunk: usize,
    /// The last sequence that ran out of memory while it was alone, and its length then.
    failed_alone: Option<(usize, usize)>,
}

impl DeviceState {
    pub(super) fn new(cache: KvCache) -> Self {
        Self {
            cache,
            prefill_chunk: MAX_PREFILL_TOKENS,
            failed_alone: None,
        }
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Model(ModelError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("the cache may take {limit} bytes, {needed} are needed")]
    TooLarge {
        sequence: usize,
        needed: u64,
        limit: u64,
    },
}

impl From<ModelError> for StepError {
    fn from(error: ModelError) -> Self {
        match error {
            ModelError::Torch(error) => error.into(),
            error => Self::Model(error),
        }
    }
}

impl From<TchError> for StepError {
    fn from(error: TchError) -> Self {
        Self::Cache(CacheError::Torch(error))
    }
}

impl Engine<'_> {
    /// Takes one step; returns the sequences that got a token. If memory runs out, that is none,
    /// and the next step needs less.
    pub(super) fn step(
        &self,
        sequences: &mut Sequences,
        state: &mut DeviceState,
    ) -> Result<Vec<usize>, ModelError> {
        match self.try_step(sequences, state) {
            Ok(extended) => Ok(extended),
            Err(StepError::Model(error)) => Err(error),
            Err(error @ StepError::TooLarge { sequence, .. }) => {
                Err(self.out_of_memory(sequences, sequence, &error))
            }
            Err(StepError::Cache(CacheError::Torch(error))) if !is_out_of_memory(&error) => {
                Err(error.into())
            }
            Err(error @ StepError::Cache(_)) => {
                self.recover(sequences, state, &error)?;
                Ok(vec![])
            }
        }
    }

    fn try_step(
        &self,
        sequences: &mut Sequences,
        state: &mut DeviceState,
    ) -> Result<Vec<usize>, StepError> {
        admit(sequences, &state.cache)?;
        let all_have_rows = assign_rows(sequences, &mut state.cache)?;
        let has_prefilled = self.prefill(sequences, state)?;
        if has_prefilled || !all_have_rows {
            return Ok(vec![]);
        }
        state.cache.grow_full_rows()?;
        self.decode(sequences, &mut state.cache)
    }

    /// Runs one forward pass over tokens that rows lack before their last token; returns whether
    /// there were any.
    fn prefill(&self, sequences: &Sequences, state: &mut DeviceState) -> Result<bool, StepError> {
        let (mut owners, mut chunks) = (Vec::new(), Vec::new());
        let mut budget = state.prefill_chunk;
        for &sequence in sequences.scheduler.running() {
            let Some(cached) = state.cache.length(sequence) else {
                continue;
            };
            let missing = sequences.scheduler.tokens(sequence) - 1 - cached;
            let count = missing.min(budget);
            if count > 0 {
                owners.push(sequence);
                chunks.push((cached, sequences.tokens(sequence, cached, count)));
                budget -= count;
            }
        }
        if owners.is_empty() {
            return Ok(false);
        }
        let chunks = chunks.iter().map(|(start, chunk)| (*start, &chunk[..]));
        let packed = PackedSequences::chunks(chunks, self.device)?;
        let adapters = adapters_of(&owners, sequences).zip(packed.lengths.iter().copied());
        let adapters = Adapters::per_sequence(adapters, self.device)?;
        self.transformer
            .prefill(&packed, &owners, &mut state.cache, &adapters)?;
        Ok(true)
    }

    /// Generates one token for every row of the cache; returns the rows' sequences.
    fn decode(
        &self,
        sequences: &mut Sequences,
        cache: &mut KvCache,
    ) -> Result<Vec<usize>, StepError> {
        let owners: Vec<usize> = cache.sequences().collect();
        let last_token =
            |&owner: &usize| sequences.tokens(owner, sequences.scheduler.tokens(owner) - 1, 1);
        let tokens: Vec<i64> = owners.iter().flat_map(last_token).map(i64::from).collect();
        let tokens = Tensor::f_from_slice(&tokens)?.f_to_device(self.device)?;
        let adapters = Adapters::per_row(adapters_of(&owners, sequences), self.device)?;
        // [rows, hidden], then [rows, vocabulary]
        let output = self.transformer.decode(&tokens, cache, &adapters)?;
        let logits = self.transformer.logits(&output, &adapters)?;
        let random_bits = owners.iter().map(|&owner| sequences.random_bits(owner));
        let random_bits: Vec<u32> = random_bits.collect();
        let sampled = sampler::sample(&logits, &sequences.sampling, &random_bits)?;
        for (&owner, token) in owners.iter().zip(sampled) {
            sequences.push(owner, token, self.tokenizer)?;
        }
        Ok(owners)
    }

    /// Makes the next step need less memory than the one that failed.
    ///
    /// Several sequences: half of them are preempted. A single one: first the whole cache is
    /// freed, because fragmentation may have been the reason; if the sequence fails again at the
    /// same length, prefill passes become smaller, down to [`MIN_PREFILL_TOKENS`].
    fn recover(
        &self,
        sequences: &mut Sequences,
        state: &mut DeviceState,
        error: &StepError,
    ) -> Result<(), ModelError> {
        if sequences.scheduler.shrink() {
            remove_idle_rows(sequences, &mut state.cache)?;
            return Ok(());
        }
        state.cache.clear();
        let Some(&sequence) = sequences.scheduler.running().first() else {
            return Err(self.out_of_memory(sequences, 0, error));
        };
        let failed = Some((sequence, sequences.scheduler.tokens(sequence)));
        if state.failed_alone == failed {
            if state.prefill_chunk <= MIN_PREFILL_TOKENS {
                return Err(self.out_of_memory(sequences, sequence, error));
            }
            state.prefill_chunk /= 2;
        }
        state.failed_alone = failed;
        Ok(())
    }

    fn out_of_memory(
        &self,
        sequences: &Sequences,
        sequence: usize,
        error: &StepError,
    ) -> ModelError {
        let detail = error.to_string();
        ModelError::OutOfMemory {
            index: sequences.request(sequence).prompt,
            tokens: sequences.scheduler.tokens(sequence),
            device: self.device,
            // The lines after the first are libtorch's own call stack.
            detail: detail.lines().next().unwrap_or_default().to_owned(),
        }
    }
}

fn adapters_of<'a>(
    owners: &[usize],
    sequences: &'a Sequences,
) -> impl Iterator<Item = Option<&'a Adapter>> {
    let adapter = |&owner: &usize| sequences.request(owner).adapter.as_ref();
    owners.iter().map(adapter)
}

fn admit(sequences: &mut Sequences, cache: &KvCache) -> Result<(), StepError> {
    let too_large = |TooLarge { sequence, needed }| StepError::TooLarge {
        sequence,
        needed: needed * cache.bytes_per_token(),
        limit: cache.limit_bytes(),
    };
    sequences.scheduler.admit().map_err(too_large)
}

/// Gives a row of the cache to every sequence in progress, and removes all other rows. Returns
/// whether every sequence has a row: one may have to wait for a prefix that is being prefilled.
fn assign_rows(sequences: &Sequences, cache: &mut KvCache) -> Result<bool, CacheError> {
    for &sequence in sequences.scheduler.running() {
        // A decode that failed after its last layer has left a token that was never sampled from.
        cache.truncate(sequence, sequences.scheduler.tokens(sequence) - 1);
    }
    let all_have_rows = match share_prefixes(sequences, cache) {
        Err(CacheError::Full { .. }) if remove_idle_rows(sequences, cache)? => {
            share_prefixes(sequences, cache)?
        }
        result => result?,
    };
    remove_idle_rows(sequences, cache)?;
    Ok(all_have_rows)
}

/// Gives a row to every sequence that has none, with the keys and values of its prompt if another
/// row has them. A sequence waits while a row of the same prompt is being prefilled.
fn share_prefixes(sequences: &Sequences, cache: &mut KvCache) -> Result<bool, CacheError> {
    let mut without_row: Vec<usize> = sequences.scheduler.running().to_vec();
    without_row.retain(|&sequence| cache.length(sequence).is_none());

    // Take over an idle row of the same prompt, cut back to the shared prefix: that copies nothing.
    without_row.retain(|&sequence| {
        let tokens = sequences.scheduler.tokens(sequence);
        !idle_rows(sequences, cache).into_iter().any(|idle| {
            let shared = sequences.shared_prefix(sequence, idle);
            shared > 0 && cache.reuse(idle, sequence, shared, tokens)
        })
    });
    for idle in idle_rows(sequences, cache) {
        let is_useful = |&sequence: &usize| sequences.shared_prefix(sequence, idle) > 0;
        if !without_row.iter().any(is_useful) {
            cache.remove(idle)?;
        }
    }

    let mut all_have_rows = true;
    for sequence in without_row {
        let tokens = sequences.scheduler.tokens(sequence);
        let siblings = cache
            .sequences()
            .filter(|&other| sequences.shared_prefix(sequence, other) > 0);
        match siblings.max_by_key(|&sibling| cache.length(sibling)) {
            None => cache.insert(sequence, tokens)?,
            Some(sibling) => {
                let shared = sequences.shared_prefix(sequence, sibling);
                if cache.length(sibling) >= Some(shared) {
                    cache.fork(sibling, sequence, shared, tokens)?;
                } else {
                    all_have_rows = false;
                }
            }
        }
    }
    Ok(all_have_rows)
}

/// The sequences that have a row but are not in progress: finished or preempted.
fn idle_rows(sequences: &Sequences, cache: &KvCache) -> Vec<usize> {
    let running = sequences.scheduler.running();
    cache
        .sequences()
        .filter(|owner| !running.contains(owner))
        .collect()
}

/// Returns whether there were any.
fn remove_idle_rows(sequences: &Sequences, cache: &mut KvCache) -> Result<bool, TchError> {
    let idle = idle_rows(sequences, cache);
    for &owner in &idle {
        cache.remove(owner)?;
    }
    Ok(!idle.is_empty())
}
