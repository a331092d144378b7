//! The error of a generation call that ended early. It carries the work that was done.

use std::error::Error;
use std::fmt;

use super::sequence::Sequences;
use super::{Generation, Response};
use crate::{Model, ModelError};

/// Why a call such as [`Model::generate`] ended early, with all that it had generated.
///
/// The work belongs to the error alone. Other calls, on the same handle or a clone of it, do not
/// affect it. It takes no memory on the device.
///
/// ```no_run
/// # use offmodel_models::{Chat, Model, ModelError, Sampling};
/// # fn respond(model: &Model, chats: &[Chat]) -> Result<(), ModelError> {
/// let responses = match model.generate(chats, &Sampling::greedy()) {
///     Err(ModelError::Stopped(stopped)) => {
///         println!("{stopped}: {} responses so far", stopped.responses().iter().flatten().count());
///         stopped.into_generation().finish()?
///     }
///     result => result?,
/// };
/// # Ok(())
/// # }
/// ```
pub struct StoppedGeneration {
    cause: ModelError,
    model: Model,
    sequences: Sequences,
}

impl StoppedGeneration {
    pub(super) fn new(cause: ModelError, model: Model, sequences: Sequences) -> Self {
        Self {
            cause,
            model,
            sequences,
        }
    }

    /// Why the call ended: [`ModelError::Interrupted`], for example.
    pub fn cause(&self) -> &ModelError {
        &self.cause
    }

    /// The responses in the order of the call; absent where one was not finished.
    pub fn responses(&self) -> Vec<Option<Response>> {
        self.sequences.responses().collect()
    }

    /// The call as a handle. [`Generation::finish`] continues it and returns all responses, equal
    /// to those of a call that was not stopped.
    pub fn into_generation(self) -> Generation {
        Generation::new(self.model, self.sequences)
    }
}

impl fmt::Display for StoppedGeneration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(formatter)
    }
}

impl fmt::Debug for StoppedGeneration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoppedGeneration")
            .field("cause", &self.cause)
            .field("progress", &self.sequences.to_string())
            .finish()
    }
}

impl Error for StoppedGeneration {
    /// The source of the cause: the cause's own message is already this error's.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.source()
    }
}
