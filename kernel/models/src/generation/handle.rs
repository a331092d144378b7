//! A generation call in progress, owned by the caller.

use std::collections::VecDeque;
use std::fmt;

use offmodel_events::{Progress, interrupt};
use tch::Device;

use super::engine::{DeviceState, Engine};
use super::kv_cache;
use super::live::LiveText;
use super::scheduler::Limits;
use super::sequence::Sequences;
use super::{Delta, Response};
use crate::transformer::KvCache;
use crate::{Model, ModelError};

/// Sequences in progress by default, if the memory suffices. More of them raise the tokens per
/// second until a step takes as long to compute as to read the weights.
const MAX_SEQUENCES_ON_CPU: usize = 32;
const MAX_SEQUENCES_ON_GPU: usize = 256;

/// Responses that a model generates; created by [`Model::generation`].
///
/// Nothing is lost when the work ends early because of an interrupt, a lack of memory for a single
/// response, or a model that computes NaN: [`Generation::responses`] returns what is finished, and
/// [`Generation::finish`] continues where it ended. Meanwhile the handle holds no memory on the
/// device.
///
/// Iterating yields the text as it is generated:
///
/// ```no_run
/// # use offmodel_models::{Chat, Model, ModelError, Sampling};
/// # fn tell(model: &Model) -> Result<(), ModelError> {
/// let mut story = model.generation([Chat::user("Tell me a story.")], &Sampling::greedy())?;
/// for delta in &mut story {
///     print!("{}", delta?.text);
/// }
/// let response = story.finish()?.remove(0);
/// # Ok(())
/// # }
/// ```
pub struct Generation {
    model: Model,
    sequences: Sequences,
    max_sequences: Option<usize>,
    max_cache_bytes: Option<u64>,
    /// Present only while the work is under way.
    device_state: Option<DeviceState>,
    /// Text that the iterator has not yet yielded.
    deltas: VecDeque<Delta>,
    progress: Option<Progress>,
    live: Option<LiveText>,
    /// Whether the iterator has just yielded an error, after which it yields `None` once.
    has_failed: bool,
}

impl Generation {
    pub(super) fn new(model: Model, sequences: Sequences) -> Self {
        Self {
            model,
            sequences,
            max_sequences: None,
            max_cache_bytes: None,
            device_state: None,
            deltas: VecDeque::new(),
            progress: None,
            live: None,
            has_failed: false,
        }
    }

    /// Limits how many responses are in progress at once; at least one is. The limit does not
    /// change the responses.
    #[must_use]
    pub fn max_sequences(mut self, count: usize) -> Self {
        self.max_sequences = Some(count.max(1));
        self
    }

    /// Limits the bytes of the key-value cache. The default is a share of the device's free memory.
    #[must_use]
    pub fn max_cache_bytes(mut self, bytes: u64) -> Self {
        self.max_cache_bytes = Some(bytes);
        self
    }

    /// Shows the text in the notebook as it is generated.
    #[must_use]
    pub fn live(mut self) -> Self {
        self.live = Some(LiveText::new());
        self
    }

    /// Generates until every response is finished. Returns them in the order of the prompts, a
    /// prompt's samples one after another.
    ///
    /// # Errors
    /// When the work is interrupted or fails. The finished responses stay in this handle, and
    /// another call continues.
    pub fn finish(&mut self) -> Result<Vec<Response>, ModelError> {
        while !self.is_finished() {
            self.step()?;
        }
        self.release_device();
        Ok(self.sequences.responses().flatten().collect())
    }

    /// The responses in the order of [`Generation::finish`]; absent where one is not finished.
    pub fn responses(&self) -> Vec<Option<Response>> {
        self.sequences.responses().collect()
    }

    /// Whether every response is finished.
    pub fn is_finished(&self) -> bool {
        self.sequences.scheduler.is_done()
    }

    pub(super) fn into_sequences(mut self) -> Sequences {
        self.release_device();
        self.sequences
    }

    /// Takes one step of the engine; returns the sequences that got a token. After an error the
    /// handle holds no memory on the device.
    fn step(&mut self) -> Result<Vec<usize>, ModelError> {
        let result = interrupt::check()
            .map_err(ModelError::from)
            .and_then(|()| self.engine_step());
        if result.is_err() {
            self.release_device();
        }
        result
    }

    fn engine_step(&mut self) -> Result<Vec<usize>, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let state = match &mut self.device_state {
            Some(state) => state,
            None => {
                let (state, limits) = self.new_device_state();
                self.sequences.scheduler.set_limits(limits);
                self.device_state.insert(state)
            }
        };
        let finished_before = self.sequences.finished() as u64;
        let progress = self.progress.get_or_insert_with(|| {
            let mut progress = Progress::new("generating", self.sequences.len() as u64);
            progress.advance(finished_before);
            progress
        });
        let engine = Engine {
            transformer: self.model.transformer(),
            tokenizer: self.model.tokenizer(),
            device: self.model.device(),
        };
        let extended = engine.step(&mut self.sequences, state)?;
        let newly_finished = self.sequences.finished() as u64 - finished_before;
        if newly_finished > 0 {
            progress.advance(newly_finished);
        }
        if let Some(live) = &mut self.live {
            live.update(&self.sequences);
        }
        Ok(extended)
    }

    /// An empty cache, and the limits that it imposes on the scheduler.
    fn new_device_state(&self) -> (DeviceState, Limits) {
        let device = self.model.device();
        let default_sequences = match device {
            Device::Cpu => {
                kv_cache::keep_freed_memory();
                MAX_SEQUENCES_ON_CPU
            }
            _ => MAX_SEQUENCES_ON_GPU,
        };
        let max_bytes = self
            .max_cache_bytes
            .unwrap_or_else(|| kv_cache::default_max_bytes(device));
        let cache = KvCache::new(self.model.transformer().cache_layers(), max_bytes);
        let limits = Limits {
            sequences: self.max_sequences.unwrap_or(default_sequences),
            tokens: max_bytes / cache.bytes_per_token().max(1),
        };
        (DeviceState::new(cache), limits)
    }

    /// Frees the memory on the device. Sequences in progress go back to the queue and keep their
    /// tokens.
    fn release_device(&mut self) {
        self.sequences.scheduler.preempt_all();
        self.device_state = None;
        self.progress = None;
    }
}

/// Yields the text as it is generated, whole characters at a time; deltas of several responses are
/// interleaved. After an error the iteration ends, and a new iteration, or [`Generation::finish`],
/// continues.
impl Iterator for Generation {
    type Item = Result<Delta, ModelError>;

    fn next(&mut self) -> Option<Self::Item> {
        if std::mem::take(&mut self.has_failed) {
            return None;
        }
        while self.deltas.is_empty() && !self.is_finished() {
            match self.step() {
                Ok(extended) => {
                    let deltas = extended
                        .into_iter()
                        .filter_map(|sequence| self.sequences.next_delta(sequence));
                    self.deltas.extend(deltas);
                }
                Err(error) => {
                    self.has_failed = true;
                    return Some(Err(error));
                }
            }
        }
        if self.is_finished() {
            self.release_device();
        }
        self.deltas.pop_front().map(Ok)
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sequences.fmt(formatter)
    }
}

impl fmt::Debug for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Generation({self}, by {})", self.model)
    }
}
