use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::{Event, MimeBundle, emit};

/// Updates closer together than this would only burden the front end.
const MIN_UPDATE_INTERVAL: Duration = Duration::from_millis(100);

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

/// A display that is updated in place, as IPython's `DisplayHandle` is.
#[derive(Debug)]
pub struct DisplayHandle {
    display_id: String,
    last_shown: Option<Instant>,
}

impl DisplayHandle {
    /// Creates a handle whose display does not exist until [`show`](Self::show) is called. Its id
    /// starts with `kind`.
    pub fn new(kind: &str) -> Self {
        let number = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Self {
            display_id: format!("{kind}-{}-{number}", std::process::id()),
            last_shown: None,
        }
    }

    /// Whether the display exists.
    pub fn is_shown(&self) -> bool {
        self.last_shown.is_some()
    }

    /// Whether an intermediate update is due: callers skip others so that a front end keeps up.
    pub fn is_due(&self) -> bool {
        self.last_shown
            .is_none_or(|at| at.elapsed() >= MIN_UPDATE_INTERVAL)
    }

    /// Shows `data`: as a new display at first, in place of the earlier content from then on.
    pub fn show(&mut self, data: MimeBundle) {
        let display_id = self.display_id.clone();
        emit(&match self.last_shown {
            None => Event::Display {
                data,
                display_id: Some(display_id),
            },
            Some(_) => Event::UpdateDisplay { data, display_id },
        });
        self.last_shown = Some(Instant::now());
    }
}
