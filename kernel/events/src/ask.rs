//! Questions to the person at the front end: the one way in which something comes back.
//!
//! A question goes out as [`Event::InputRequest`]; the answer arrives as one JSON line on a pipe
//! that the session opened. Questions have numbers, so that the answer to one whose process has
//! died meanwhile is not taken for another's.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::{FromRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use crate::{Event, emit};

/// The environment variable that names the inherited file descriptor answers are read from.
pub const DESCRIPTOR_VARIABLE: &str = "OFFMODEL_ANSWERS_FD";

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question's.
    pub id: String,
    /// What was typed, or why nothing was.
    pub answer: Result<String, String>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// There is nobody: a sweep, or a program of its own.
    #[error("there is nobody to ask {prompt:?}: this notebook runs without a front end")]
    Nobody {
        /// The question.
        prompt: String,
    },
    /// The front end has no answer.
    #[error("no answer to {prompt:?}: {reason}")]
    Refused {
        /// The question.
        prompt: String,
        /// Why.
        reason: String,
    },
}

/// Asks for a line of text.
///
/// # Errors
/// When nobody is there, or the question was interrupted.
pub fn input(prompt: &str) -> Result<String, AskError> {
    ask(prompt, false)
}

/// Asks for a line of text that is not shown while it is typed.
///
/// # Errors
/// When nobody is there, or the question was interrupted.
pub fn password(prompt: &str) -> Result<String, AskError> {
    ask(prompt, true)
}

fn ask(prompt: &str, password: bool) -> Result<String, AskError> {
    let nobody = || AskError::Nobody {
        prompt: prompt.to_owned(),
    };
    let mut answers = answers()
        .ok_or_else(nobody)?
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
        // The end of the pipe is the end of the session.
        if !answers.read_line(&mut line).is_ok_and(|count| count > 0) {
            return Err(nobody());
        }
        let Ok(answer) = serde_json::from_str::<Answer>(&line) else {
            continue;
        };
        if answer.id == id {
            let refused = |reason| AskError::Refused {
                prompt: prompt.to_owned(),
                reason,
            };
            return answer.answer.map_err(refused);
        }
    }
}

fn next_id() -> String {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    format!(
        "{}-{}",
        std::process::id(),
        ASKED.fetch_add(1, Ordering::Relaxed)
    )
}

type Answers = Mutex<BufReader<File>>;

fn answers() -> Option<&'static Answers> {
    static ANSWERS: OnceLock<Option<Answers>> = OnceLock::new();
    ANSWERS.get_or_init(open).as_ref()
}

fn open() -> Option<Answers> {
    let descriptor: RawFd = std::env::var(DESCRIPTOR_VARIABLE).ok()?.parse().ok()?;
    if descriptor <= 2 || !crate::sink::is_open(descriptor) {
        return None;
    }
    // SAFETY: the session passed this open descriptor to us alone, for exactly this use, and it
    // is taken once.
    let file = unsafe { File::from_raw_fd(descriptor) };
    Some(Mutex::new(BufReader::new(file)))
}
