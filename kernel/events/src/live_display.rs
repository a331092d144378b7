//! A display that is updated in place.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{Event, MimeBundle, emit};

/// The shortest time between two updates that are not the last.
const INTERVAL: Duration = Duration::from_millis(100);

static NEXT_DISPLAY: AtomicU64 = AtomicU64::new(0);

/// One display of a notebook: shown when it is shown first, and updated in place from then on.
#[derive(Debug)]
pub struct LiveDisplay {
    display_id: String,
    shown: Option<Instant>,
}

impl LiveDisplay {
    /// A display that is not shown yet; `kind` is the beginning of its id.
    pub fn new(kind: &str) -> Self {
        let number = NEXT_DISPLAY.fetch_add(1, Ordering::Relaxed);
        Self {
            display_id: format!("{kind}-{}-{number}", std::process::id()),
            shown: None,
        }
    }

    /// Whether it has been shown.
    pub fn is_shown(&self) -> bool {
        self.shown.is_some()
    }

    /// Whether it was not shown lately, so that a front end keeps up with it.
    pub fn is_due(&self) -> bool {
        self.shown.is_none_or(|at| at.elapsed() >= INTERVAL)
    }

    /// Shows `data` in place of what was shown before.
    pub fn show(&mut self, data: MimeBundle) {
        let display_id = self.display_id.clone();
        emit(&match self.shown {
            None => Event::Display {
                data,
                display_id: Some(display_id),
            },
            Some(_) => Event::UpdateDisplay { data, display_id },
        });
        self.shown = Some(Instant::now());
    }
}
