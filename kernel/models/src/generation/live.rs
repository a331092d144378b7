//! The text of responses in a notebook while it is generated.

use offmodel_events::{DisplayHandle, MimeBundle};

use super::sequence::Sequences;

/// Responses that are shown at once.
const MAX_RESPONSES_SHOWN: usize = 4;
/// Characters that are shown of each response, if there are several.
const MAX_CHARACTERS_SHOWN: usize = 400;

/// A display that follows a generation. It is plain text, so that markup in a response is never
/// rendered.
#[derive(Debug)]
pub(super) struct LiveText(DisplayHandle);

impl LiveText {
    pub(super) fn new() -> Self {
        Self(DisplayHandle::new("generation"))
    }

    /// Updates the display, unless it was updated a moment ago. The end is always shown.
    pub(super) fn update(&mut self, sequences: &Sequences) {
        if self.0.is_due() || sequences.scheduler.is_done() {
            self.0.show(MimeBundle::text(text(sequences)));
        }
    }
}

/// A single response in full; of several responses, the ends of some that are in progress, or of
/// the last ones when all are finished.
fn text(sequences: &Sequences) -> String {
    let count = sequences.len();
    if count == 1 {
        return sequences.text(0).to_owned();
    }
    let running = sequences.scheduler.running();
    let last: Vec<usize> = (count.saturating_sub(MAX_RESPONSES_SHOWN)..count).collect();
    let shown = if running.is_empty() { &last } else { running };
    let mut text = format!("{} of {count} responses finished", sequences.finished());
    for &sequence in shown.iter().take(MAX_RESPONSES_SHOWN) {
        let request = sequences.request(sequence);
        text += &format!("\n\n[{}", request.prompt);
        if request.sample > 0 {
            text += &format!(", sample {}", request.sample);
        }
        text += "] ";
        text += end_of(sequences.text(sequence));
    }
    text
}

/// The last [`MAX_CHARACTERS_SHOWN`] characters of `text`.
fn end_of(text: &str) -> &str {
    let starts = text.char_indices().rev().take(MAX_CHARACTERS_SHOWN);
    starts.last().map_or("", |(start, _)| &text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(end_of("né"), "né");
        assert_eq!(end_of(""), "");
        assert_eq!(
            end_of(&"é🐦".repeat(MAX_CHARACTERS_SHOWN)),
            "é🐦".repeat(MAX_CHARACTERS_SHOWN / 2)
        );
    }
}
