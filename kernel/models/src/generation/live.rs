//! Responses in a notebook while they are being written.

use offmodel_events::{DisplayHandle, MimeBundle};

use super::work::Work;

/// Responses that are shown at once.
const SHOWN: usize = 4;
/// Characters that are shown of each where there are several.
const CHARACTERS: usize = 400;

/// Plain text, so that no markup in it is ever rendered.
#[derive(Debug)]
pub(super) struct Live(DisplayHandle);

impl Live {
    pub(super) fn new() -> Self {
        Self(DisplayHandle::new("generation"))
    }

    /// Shows how far the work has come, if that is due or the work is done.
    pub(super) fn show(&mut self, work: &Work) {
        if self.0.is_due() || work.schedule.is_done() {
            self.0.show(MimeBundle::text(text(work)));
        }
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
