//! A progress bar that updates in place, in a notebook and in its plain text form.

use std::time::{Duration, Instant};

use crate::{DisplayHandle, MimeBundle};

/// Work shorter than this shows no bar.
const QUIET: Duration = Duration::from_millis(700);
/// A bar for work of a known number of steps. It appears once the work has taken most of a
/// second, shows rate and time left, and is completed when dropped.
#[derive(Debug)]
pub struct Progress {
    label: String,
    total: u64,
    done: u64,
    started: Instant,
    display: DisplayHandle,
}

impl Progress {
    /// A bar named `label` for `total` steps.
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
        let due = match self.display.is_shown() {
            false => self.started.elapsed() >= QUIET,
            // A bar kept in a variable of the notebook is not dropped when its work ends.
            true => self.done == self.total || self.display.is_due(),
        };
        if due {
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
            escape(&text),
        );
        MimeBundle::text(text).with("text/html", html)
    }

    fn text(&self) -> String {
        let elapsed = self.started.elapsed().as_secs_f64();
        let rate = self.done as f64 / elapsed.max(1e-9);
        let ending = if self.done >= self.total {
            format!("{elapsed:.1} s")
        } else if self.done == 0 {
            "starting".to_owned()
        } else {
            format!("{:.0} s left", (self.total - self.done) as f64 / rate)
        };
        format!(
            "{}: {}/{} ({rate:.1}/s, {ending})",
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

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
