//! Input from the user: Jupyter's `input_request` and `input_reply`.
//!
//! This is the only path on which data flows back into a running cell. The request leaves as
//! [`Event::InputRequest`]; the reply arrives as one JSON line on a pipe opened by the session.
//! Requests are numbered, so that the reply to a request whose process has died is not mistaken for
//! the reply to a later one.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use offmodel_support::environment::INPUT_FD;
use serde::{Deserialize, Serialize};

use crate::{Event, emit, inherited_file};

/// The reply to an [`Event::InputRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputReply {
    /// The id of the request.
    pub id: String,
    /// The line that the user typed, or the reason why there is none.
    #[serde(rename = "answer")]
    pub value: Result<String, String>,
}

/// Why a request for input failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputRequestError {
    /// The notebook runs as a sweep's trial or as a program of its own.
    #[error("cannot ask for input ({prompt:?}): this notebook runs without a front end")]
    NoFrontend {
        /// The prompt of the request.
        prompt: String,
    },
    /// The front end returned no input.
    #[error("no input for {prompt:?}: {reason}")]
    Refused {
        /// The prompt of the request.
        prompt: String,
        /// The front end's reason.
        reason: String,
    },
}

/// Asks the user for a line of text.
///
/// # Errors
/// When there is no front end, or the cell is interrupted while it waits.
pub fn input(prompt: &str) -> Result<String, InputRequestError> {
    request(prompt, false)
}

/// Asks the user for a line of text that the front end does not echo.
///
/// # Errors
/// When there is no front end, or the cell is interrupted while it waits.
pub fn password(prompt: &str) -> Result<String, InputRequestError> {
    request(prompt, true)
}

fn request(prompt: &str, password: bool) -> Result<String, InputRequestError> {
    let no_frontend = || InputRequestError::NoFrontend {
        prompt: prompt.to_owned(),
    };
    // Held until the reply arrives: one request at a time, whatever the number of threads.
    let mut replies = replies()
        .ok_or_else(no_frontend)?
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let id = next_id();
    emit(&Event::InputRequest {
        id: id.clone(),
        prompt: prompt.to_owned(),
        password,
    });
    let mut line = String::new();
    loop {
        line.clear();
        // The session has ended if the pipe has.
        if !replies.read_line(&mut line).is_ok_and(|count| count > 0) {
            return Err(no_frontend());
        }
        let Ok(reply) = serde_json::from_str::<InputReply>(&line) else {
            continue;
        };
        if reply.id == id {
            return reply.value.map_err(|reason| InputRequestError::Refused {
                prompt: prompt.to_owned(),
                reason,
            });
        }
    }
}

/// An id that no other process of the session uses.
fn next_id() -> String {
    static REQUESTS: AtomicU64 = AtomicU64::new(0);
    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
    format!("{}-{number}", std::process::id())
}

type Replies = Mutex<BufReader<File>>;

fn replies() -> Option<&'static Replies> {
    static REPLIES: OnceLock<Option<Replies>> = OnceLock::new();
    let open = || inherited_file::take(INPUT_FD).map(|file| Mutex::new(BufReader::new(file)));
    REPLIES.get_or_init(open).as_ref()
}
