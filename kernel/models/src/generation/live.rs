//! Responses in a notebook while they are being written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use offmodel_events::{Event, MimeBundle, emit};

use super::work::Work;

/// The shortest time between two updates.
const INTERVAL: Duration = Duration::from_millis(100);
/// Responses that are shown at once.
const SHOWN: usize = 4;
/// Characters that are shown of each where there are several.
const CHARACTERS: usize = 400;

static NEXT_DISPLAY: AtomicU64 = AtomicU64::new(0);

/// A display that is updated in place. Plain text, so that no markup in it is ever rendered.
#[derive(Debug)]
pub(super) struct Live {
    display_id: String,
    shown: Option<Instant>,
}

impl Live {
    pub(super) fn new() -> Self {
        let number = NEXT_DISPLAY.fetch_add(1, Ordering::Relaxed);
        Self {
            display_id: format!("generation-{}-{number}", std::process::id()),
            shown: None,
        }
    }

    /// Shows how far the work has come, if that is due or the work is done.
    pub(super) fn show(&mut self, work: &Work) {
        let is_early = self.shown.is_some_and(|at| at.elapsed() < INTERVAL);
        if is_early && !work.schedule.is_done() {
            return;
        }
        let (data, display_id) = (MimeBundle::text(text(work)), self.display_id.clone());
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

/// The response, if there is one only; of several the ends of those in progress, or of the last.
fn text(work: &Work) -> String {
    let count = work.requests.len();
    if count == 1 {
        return work.text(0).to_owned();
    }
    let running = work.schedule.running();
    let last: Vec<usize> = (count.saturating_sub(SHOWN)..count).collect();
    let shown = if running.is_empty() { &last } else { running };
    let mut text = format!("{} of {count} responses finished", work.finished());
    for &request in shown.iter().take(SHOWN) {
        let sample = &work.requests[request];
        text += &format!("\n\n[{}", sample.prompt);
        if sample.sample > 0 {
            text += &format!(", sample {}", sample.sample);
        }
        text += "] ";
        text += end_of(work.text(request));
    }
    text
}

/// The last characters of a text.
fn end_of(text: &str) -> &str {
    let starts = text.char_indices().rev().take(CHARACTERS);
    starts.last().map_or("", |(start, _)| &text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_text_is_cut_between_characters() {
        assert_eq!(end_of("né"), "né");
        assert_eq!(end_of(""), "");
        assert_eq!(
            end_of(&"é🐦".repeat(CHARACTERS)),
            "é🐦".repeat(CHARACTERS / 2)
        );
    }
}
