//! Limits how much output of a cell is shown.
//!
//! A loop that prints a million lines, or a value of 50 MB, would freeze every front end and bloat
//! the notebook's file. Of a cell's text, the beginning and the end are shown; of its values, those
//! that fit; a notice replaces the rest. Withheld output never leaves the process.

use std::borrow::Cow;

use offmodel_support::environment::{DISPLAY_LIMIT_MB, TEXT_LIMIT_MB};
use serde_json::Value;

use crate::{Event, MimeBundle, Stream};

const DEFAULT_TEXT_LIMIT_MB: usize = 2;
const DEFAULT_DISPLAY_LIMIT_MB: usize = 16;
/// The part of withheld text, or of a withheld value's text form, that is shown all the same.
const EXCERPT_BYTES: usize = 4096;

/// Shortens the output of a cell to the limits; the end of a cell resets it for the next one.
#[derive(Debug, Clone)]
pub(crate) struct OutputLimiter {
    /// Most bytes of text per cell, both streams together.
    text_limit: usize,
    /// Most bytes of displayed values per cell.
    display_limit: usize,
    text_left: usize,
    display_left: usize,
    /// Indexed by [`Stream`].
    withheld: [WithheldText; 2],
}

/// The text of one stream that was not shown.
#[derive(Debug, Clone, Default)]
struct WithheldText {
    bytes: usize,
    lines: usize,
    /// The last bytes of the text.
    end: String,
}

impl OutputLimiter {
    /// Reads the limits from the environment, or takes the defaults.
    pub(crate) fn from_environment() -> Self {
        let megabytes = |variable, default| {
            let set = std::env::var(variable).ok();
            set.and_then(|value| value.parse().ok()).unwrap_or(default)
        };
        Self::new(
            megabytes(TEXT_LIMIT_MB, DEFAULT_TEXT_LIMIT_MB).saturating_mul(1_000_000),
            megabytes(DISPLAY_LIMIT_MB, DEFAULT_DISPLAY_LIMIT_MB).saturating_mul(1_000_000),
        )
    }

    /// Limits text and displayed values, both in bytes per cell.
    pub(crate) fn new(text_limit: usize, display_limit: usize) -> Self {
        Self {
            text_limit,
            display_limit,
            text_left: text_limit,
            display_left: display_limit,
            withheld: Default::default(),
        }
    }

    /// The events to write in place of `event`.
    pub(crate) fn admit<'a>(&mut self, event: &'a Event) -> Vec<Cow<'a, Event>> {
        match event {
            Event::Stream { stream, text } => self.admit_text(*stream, text, event),
            Event::Display { data, display_id } => {
                let notice = self.admit_value(data).map(|data| Event::Display {
                    data,
                    display_id: display_id.clone(),
                });
                vec![notice.map_or(Cow::Borrowed(event), Cow::Owned)]
            }
            Event::UpdateDisplay { data, display_id } => {
                // An update replaces the earlier content, so only its own size counts.
                let left = self.display_left;
                self.display_left = self.display_limit;
                let notice = self.admit_value(data).map(|data| Event::UpdateDisplay {
                    data,
                    display_id: display_id.clone(),
                });
                self.display_left = left;
                vec![notice.map_or(Cow::Borrowed(event), Cow::Owned)]
            }
            Event::Result { data } => {
                let notice = self.admit_value(data).map(|data| Event::Result { data });
                vec![notice.map_or(Cow::Borrowed(event), Cow::Owned)]
            }
            Event::Error { .. } => self.after_notices(event),
            Event::CellFinished { .. } => {
                let events = self.after_notices(event);
                *self = Self::new(self.text_limit, self.display_limit);
                events
            }
            _ => vec![Cow::Borrowed(event)],
        }
    }

    fn admit_text<'a>(
        &mut self,
        stream: Stream,
        text: &str,
        event: &'a Event,
    ) -> Vec<Cow<'a, Event>> {
        let withheld = &mut self.withheld[stream as usize];
        if withheld.bytes == 0 && text.len() <= self.text_left {
            self.text_left -= text.len();
            return vec![Cow::Borrowed(event)];
        }
        // Once text of a stream is withheld, everything after it is too, up to the notice.
        let shown = if withheld.bytes == 0 {
            text.floor_char_boundary(self.text_left)
        } else {
            0
        };
        self.text_left -= shown;
        let (before, after) = text.split_at(shown);
        withheld.push(after);
        if before.is_empty() {
            return vec![];
        }
        let text = before.to_owned();
        vec![Cow::Owned(Event::Stream { stream, text })]
    }

    /// The notice to show in place of a value that does not fit; none for a value that does.
    fn admit_value(&mut self, data: &MimeBundle) -> Option<MimeBundle> {
        let size: usize = data.0.values().map(content_bytes).sum();
        if size <= self.display_left {
            self.display_left -= size;
            return None;
        }
        let notice = format!(
            "a value of {} is not shown: a cell shows at most {} of values; set {DISPLAY_LIMIT_MB} to change that",
            in_megabytes(size),
            in_megabytes(self.display_limit),
        );
        let text = data.get("text/plain").unwrap_or_default();
        let excerpt = &text[..text.floor_char_boundary(EXCERPT_BYTES)];
        let text = match excerpt.len() {
            0 => notice,
            length if length == text.len() => format!("{excerpt}\n[{notice}]"),
            _ => format!("{excerpt} …\n[{notice}]"),
        };
        Some(MimeBundle::text(text))
    }

    /// The notices about withheld text, followed by `event`.
    fn after_notices<'a>(&mut self, event: &'a Event) -> Vec<Cow<'a, Event>> {
        let mut events = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let withheld = std::mem::take(&mut self.withheld[stream as usize]);
            if withheld.bytes > 0 {
                let text = withheld.notice(self.text_limit);
                events.push(Cow::Owned(Event::Stream { stream, text }));
            }
        }
        events.push(Cow::Borrowed(event));
        events
    }
}

impl WithheldText {
    fn push(&mut self, text: &str) {
        self.bytes += text.len();
        self.lines += text.bytes().filter(|&byte| byte == b'\n').count();
        self.end.push_str(text);
        // Cutting moves the whole buffer, so it happens only now and then.
        if self.end.len() > 4 * EXCERPT_BYTES {
            self.cut();
        }
    }

    /// Cuts `end` to the excerpt, at the start of a line if lines are short enough.
    fn cut(&mut self) {
        if let Some(excess) = self.end.len().checked_sub(EXCERPT_BYTES) {
            let start = self.end.ceil_char_boundary(excess);
            let line = self.end[start..]
                .find('\n')
                .map_or(start, |at| start + at + 1);
            self.end.drain(..line);
        }
    }

    fn notice(mut self, limit: usize) -> String {
        self.cut();
        let lines = self.end.bytes().filter(|&byte| byte == b'\n').count();
        format!(
            "\n[{} in {} lines are not shown: a cell shows at most {} of text; set {TEXT_LIMIT_MB} to change that. The end of the text:]\n{}",
            in_megabytes(self.bytes - self.end.len()),
            self.lines - lines,
            in_megabytes(limit),
            self.end,
        )
    }
}

fn content_bytes(content: &Value) -> usize {
    match content {
        Value::String(text) => text.len(),
        // Rare and small: almost all formats are text or base64.
        other => other.to_string().len(),
    }
}

fn in_megabytes(bytes: usize) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stdout(text: &str) -> Event {
        Event::Stream {
            stream: Stream::Stdout,
            text: text.to_owned(),
        }
    }

    fn finished() -> Event {
        Event::CellFinished {
            cell: 1,
            seconds: 0.0,
            succeeded: true,
        }
    }

    /// The text shown for a cell that prints `texts`.
    fn shown(limiter: &mut OutputLimiter, texts: &[&str]) -> String {
        let mut events: Vec<Event> = texts.iter().map(|text| stdout(text)).collect();
        events.push(finished());
        let admitted = events
            .iter()
            .flat_map(|event| limiter.admit(event))
            .map(Cow::into_owned);
        admitted
            .filter_map(|event| match event {
                Event::Stream { text, .. } => Some(text),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn a_long_text_shows_both_ends_and_counts_what_is_missing() {
        let mut limiter = OutputLimiter::new(100, 100);
        let lines: Vec<String> = (0..10_000).map(|line| format!("line {line}\n")).collect();
        let texts: Vec<&str> = lines.iter().map(String::as_str).collect();
        let text = shown(&mut limiter, &texts);
        assert!(text.starts_with("line 0\nline 1\n"), "{text}");
        assert!(text.ends_with("line 9998\nline 9999\n"), "{text}");
        assert!(text.contains("lines are not shown"), "{text}");
        assert!(text.len() < 5000, "{}", text.len());
        // The next cell has the whole limit again.
        assert_eq!(shown(&mut limiter, &["short\n"]), "short\n");
    }

    #[test]
    fn the_notice_precedes_the_error_that_ended_the_cell() {
        let mut limiter = OutputLimiter::new(4, 4);
        assert!(matches!(
            &*limiter.admit(&stdout("before after"))[0],
            Event::Stream { text, .. } if text == "befo"
        ));
        let error = Event::Error {
            error: crate::CellError::new("panic", ""),
        };
        let events = limiter.admit(&error);
        assert!(matches!(&*events[0], Event::Stream { text, .. } if text.ends_with("re after")));
        assert_eq!(*events[1], error);
    }

    #[test]
    fn a_large_value_is_replaced_by_a_notice_with_the_beginning_of_its_text() {
        let mut limiter = OutputLimiter::new(100, 10_000);
        let data = MimeBundle::text("x".repeat(9_000)).with("text/html", "y".repeat(9_000));
        let result = Event::Result { data };
        let Event::Result { data } = limiter.admit(&result).remove(0).into_owned() else {
            panic!("a result stays a result");
        };
        let text = data.get("text/plain").unwrap();
        assert!(
            text.starts_with("xxx") && text.contains("is not shown"),
            "{text}"
        );
        assert_eq!(data.get("text/html"), None);
        let small = Event::Result {
            data: MimeBundle::text("4"),
        };
        assert_eq!(*limiter.admit(&small)[0], small);
    }

    #[test]
    fn a_progress_bar_may_update_without_limit() {
        let mut limiter = OutputLimiter::new(100, 50);
        let update = Event::UpdateDisplay {
            data: MimeBundle::text("12345678901234567890"),
            display_id: "bar".to_owned(),
        };
        for _ in 0..100 {
            assert_eq!(*limiter.admit(&update)[0], update);
        }
    }

    proptest! {
        #[test]
        fn text_is_cut_between_characters_and_the_beginning_stays_within_the_limit(
            texts in proptest::collection::vec("[a-zé\n😀]{0,40}", 0..40),
            limit in 0usize..200,
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let whole = texts.concat();
            let text = shown(&mut OutputLimiter::new(limit, 0), &texts);
            if whole.len() <= limit {
                prop_assert_eq!(text, whole);
            } else {
                let (before, after) = text.split_once("\n[").unwrap();
                let after = after.split_once(":]\n").unwrap().1;
                prop_assert!(before.len() <= limit && whole.starts_with(before));
                prop_assert!(whole.ends_with(after));
            }
        }
    }
}
