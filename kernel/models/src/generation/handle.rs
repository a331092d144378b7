//! Responses in progress, held by whoever asked for them.

use std::collections::VecDeque;

use offmodel_events::{Progress, interrupt};
use tch::Device;

use super::decoding::{Decoder, Rows};
use super::live::Live;
use super::memory;
use super::schedule::Bounds;
use super::work::Work;
use super::{Piece, Response};
use crate::transformer::KvCache;
use crate::{Model, ModelError};

/// Responses in progress at once, if the memory has room for them: more raises the tokens per
/// second until the device computes as long as it reads weights.
const ROWS_ON_CPU: usize = 32;
const ROWS_ON_GPU: usize = 256;

/// Responses that a model is about to make, is making or has made; see [`Model::generation`].
///
/// Nothing is lost when the work ends early, because it was interrupted, memory ran out for a
/// single response, or the model computed what is no number: [`Generation::responses`] has what is
/// finished, and [`Generation::finish`] goes on where it ended. Meanwhile it takes no memory on the
/// device.
///
/// As an iterator it gives the text as it comes:
///
/// ```no_run
/// # use offmodel_models::{Chat, Model, ModelError, Sampling};
/// # fn tell(model: &Model) -> Result<(), ModelError> {
/// let mut story = model.generation([Chat::user("Tell me a story.")], &Sampling::greedy())?;
/// for piece in &mut story {
///     print!("{}", piece?.text);
/// }
/// let response = story.finish()?.remove(0);
/// # Ok(())
/// # }
/// ```
pub struct Generation {
    model: Model,
    work: Work,
    limits: Limits,
    /// Absent unless the work is under way.
    rows: Option<Rows>,
    pieces: VecDeque<Piece>,
    progress: Option<Progress>,
    live: Option<Live>,
    /// An iteration ended with an error.
    has_failed: bool,
}

/// What the one who asks allows.
#[derive(Debug, Clone, Copy, Default)]
struct Limits {
    rows: Option<usize>,
    bytes: Option<u64>,
}

impl Generation {
    pub(super) fn new(model: Model, work: Work) -> Self {
        Self {
            model,
            work,
            limits: Limits::default(),
            rows: None,
            pieces: VecDeque::new(),
            progress: None,
            live: None,
            has_failed: false,
        }
    }

    /// At most this many responses in progress at once. The responses are the same for any number.
    #[must_use]
    pub fn at_once(mut self, responses: usize) -> Self {
        self.limits.rows = Some(responses.max(1));
        self
    }

    /// At most this many bytes for the keys and values of responses in progress, in place of a
    /// share of what the device has free.
    #[must_use]
    pub fn cache_limit(mut self, bytes: u64) -> Self {
        self.limits.bytes = Some(bytes);
        self
    }

    /// Shows the text in the notebook as it comes.
    #[must_use]
    pub fn live(mut self) -> Self {
        self.live = Some(Live::new());
        self
    }

    /// Works until every response is finished; returns them in the order of the prompts, a prompt's
    /// samples one after another.
    ///
    /// # Errors
    /// When the work is interrupted or fails: then what is finished stays, and another call goes
    /// on.
    pub fn finish(&mut self) -> Result<Vec<Response>, ModelError> {
        while !self.work.schedule.is_done() {
            self.turn()?;
        }
        self.pause();
        let all = 0..self.work.requests.len();
        Ok(all
            .filter_map(|request| self.work.response(request).cloned())
            .collect())
    }

    /// Every response that is finished, in the order of [`Generation::finish`].
    pub fn responses(&self) -> Vec<Option<Response>> {
        let all = 0..self.work.requests.len();
        all.map(|request| self.work.response(request).cloned())
            .collect()
    }

    /// Whether every response is finished.
    pub fn is_finished(&self) -> bool {
        self.work.schedule.is_done()
    }

    pub(super) fn into_work(mut self) -> Work {
        self.pause();
        self.work
    }

    /// One turn of the loop; returns the requests that got a token. An error leaves no memory in
    /// use on the device.
    fn turn(&mut self) -> Result<Vec<usize>, ModelError> {
        let grown = interrupt::check()
            .map_err(ModelError::from)
            .and_then(|()| self.uninterrupted_turn());
        if grown.is_err() {
            self.pause();
        }
        grown
    }

    fn uninterrupted_turn(&mut self) -> Result<Vec<usize>, ModelError> {
        let _no_grad = tch::no_grad_guard();
        let rows = match &mut self.rows {
            Some(rows) => rows,
            None => {
                let (rows, bounds) = prepared(&self.model, self.limits);
                self.work.schedule.set_bounds(bounds);
                self.rows.insert(rows)
            }
        };
        let finished = self.work.finished() as u64;
        let progress = self.progress.get_or_insert_with(|| {
            let mut progress = Progress::new("generating", self.work.requests.len() as u64);
            progress.advance(finished);
            progress
        });
        let decoder = Decoder {
            transformer: self.model.transformer(),
            tokenizer: self.model.tokenizer(),
            device: self.model.device(),
        };
        let grown = decoder.turn(&mut self.work, rows)?;
        let newly = self.work.finished() as u64 - finished;
        if newly > 0 {
            progress.advance(newly);
        }
        if let Some(live) = &mut self.live {
            live.show(&self.work);
        }
        Ok(grown)
    }

    /// Gives back the memory on the device; what is in progress waits with the tokens it has.
    fn pause(&mut self) {
        self.work.schedule.requeue_all();
        self.rows = None;
        self.progress = None;
    }
}

/// An empty cache for a model, and what may be in progress in it.
fn prepared(model: &Model, limits: Limits) -> (Rows, Bounds) {
    let device = model.device();
    let limit = limits.bytes.unwrap_or_else(|| memory::cache_limit(device));
    let cache = KvCache::new(model.transformer().cache_layers(), limit);
    let usual = match device {
        Device::Cpu => {
            memory::keep_freed_memory();
            ROWS_ON_CPU
        }
        _ => ROWS_ON_GPU,
    };
    let bounds = Bounds {
        rows: limits.rows.unwrap_or(usual),
        tokens: limit / cache.bytes_per_token().max(1),
    };
    (Rows::new(cache), bounds)
}

/// The text as it comes, whole characters at a time; pieces of several responses are mixed. After
/// an error it ends; [`Generation::finish`] or a new iteration goes on.
impl Iterator for Generation {
    type Item = Result<Piece, ModelError>;

    fn next(&mut self) -> Option<Self::Item> {
        if std::mem::take(&mut self.has_failed) {
            return None;
        }
        while self.pieces.is_empty() && !self.work.schedule.is_done() {
            match self.turn() {
                Ok(grown) => {
                    let pieces = grown
                        .into_iter()
                        .filter_map(|request| self.work.piece(request));
                    self.pieces.extend(pieces);
                }
                Err(error) => {
                    self.has_failed = true;
                    return Some(Err(error));
                }
            }
        }
        if self.work.schedule.is_done() {
            self.pause();
        }
        self.pieces.pop_front().map(Ok)
    }
}

impl std::fmt::Display for Generation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(
            formatter,
            "{} of {} responses finished ({} tokens so far)",
            self.work.finished(),
            self.work.requests.len(),
            self.work.said(),
        )
    }
}

impl std::fmt::Debug for Generation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "Generation({self}, by {})", self.model)
    }
}
