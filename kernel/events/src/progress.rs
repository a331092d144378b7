use std::time::{Duration, Instant};

use crate::{DisplayHandle, MimeBundle};

/// Shorter work shows no progress bar.
const MIN_DURATION: Duration = Duration::from_millis(700);

/// A progress bar for a known number of steps.
///
/// It appears once the work has taken most of a second, updates in place, shows rate and remaining
/// time, and shows its final state when dropped.
#[derive(Debug)]
pub struct Progress {
    label: String,
    total: u64,
    done: u64,
    started: Instant,
    display: DisplayHandle,
}

impl Progress {
    /// Creates a bar named `label` for `total` steps.
    pub fn new(label: impl Into<String>, total: u64) -> Self {
        Self {
            label: label.into(),
            total,
            done: 0,
            started: Instant::now(),
            display: DisplayHandle::new("progress"),
        }
    }

    /// Counts `steps` more steps as done.
    pub fn advance(&mut self, steps: u64) {
        self.done = self.done.saturating_add(steps).min(self.total);
        let is_due = if self.display.is_shown() {
            // The last step is always shown: a bar in a notebook variable is not dropped when its
            // work ends.
            self.done == self.total || self.display.is_due()
        } else {
            self.started.elapsed() >= MIN_DURATION
        };
        if is_due {
            self.show();
        }
    }

    /// Replaces the label, for example to show the current loss.
    pub fn set_label(&mut self, label: impl Into<String>) {
        self.label = label.into();
    }

    fn show(&mut self) {
        let bundle = self.bundle();
        self.display.show(bundle);
    }

    fn bundle(&self) -> MimeBundle {
        let text = self.text();
        let html = format!(
            "<div><progress value=\"{}\" max=\"{}\" style=\"width:40%;vertical-align:middle\"></progress> <code>{}</code></div>",
            self.done,
            self.total.max(1),
            escape_html(&text),
        );
        MimeBundle::text(text).with("text/html", html)
    }

    fn text(&self) -> String {
        let elapsed = self.started.elapsed().as_secs_f64();
        let rate = self.done as f64 / elapsed.max(1e-9);
        let time = if self.done >= self.total {
            format!("{elapsed:.1} s")
        } else if self.done == 0 {
            "starting".to_owned()
        } else {
            format!("{:.0} s left", (self.total - self.done) as f64 / rate)
        };
        format!(
            "{}: {}/{} ({rate:.1}/s, {time})",
            self.label, self.done, self.total
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.display.is_shown() {
            self.show();
        }
    }
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
