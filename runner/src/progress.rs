//! Shows the user the progress of a sweep or notebook: as a bar in a terminal, otherwise as plain
//! lines.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::estimate::{at_this_pace, in_words};
use crate::executor::AttemptSpec;
use crate::store::{AttemptResult, Status};
use crate::terminal::errln;

/// In sweeps with more trials than this, plain lines come at most once in [`LINE_INTERVAL`].
const MAX_TRIALS_WITH_A_LINE_EACH: usize = 50;

const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// Progress on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    done: usize,
    last_line: Option<Instant>,
    began: Instant,
}

impl Progress {
    /// Progress of `total` steps, which are called `unit` in the plural.
    pub fn new(total: usize, unit: &str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total as u64);
            let template = format!(
                "{{bar:30}} {{pos}}/{{len}} {unit}, {{elapsed}} elapsed, {{eta}} left {{msg}}"
            );
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self {
            bar,
            total,
            done: 0,
            last_line: None,
            began: Instant::now(),
        }
    }

    /// Prints a line above the bar.
    pub fn println(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| errln!("{line}")),
            None => errln!("{line}"),
        }
    }

    /// Reports an attempt whose result is published.
    pub fn attempt_ended(&mut self, spec: &AttemptSpec, result: &AttemptResult) {
        self.advance(self.done + 1);
        if let Some(cause) = &result.cause {
            let what = match result.status {
                Status::Cancelled => format!("was cancelled in attempt {}", result.attempt),
                _ => format!("failed in attempt {}: {cause}", result.attempt),
            };
            self.println(&format!(
                "trial {} {what} ({})",
                result.trial,
                described(spec)
            ));
            return;
        }
        let due = self
            .last_line
            .is_none_or(|last_line| last_line.elapsed() >= LINE_INTERVAL);
        let last = self.done == self.total;
        if self.bar.is_none()
            && result.status == Status::Succeeded
            && (self.total <= MAX_TRIALS_WITH_A_LINE_EACH || due || last)
        {
            self.last_line = Some(Instant::now());
            let (done, total) = (self.done, self.total);
            let left = at_this_pace(done, self.began.elapsed(), total.saturating_sub(done))
                .map_or_else(String::new, |left| {
                    format!(", about {} left", in_words(left))
                });
            self.println(&format!(
                "[{done}/{total}] trial {} succeeded in {:.2} s ({}){left}",
                result.trial,
                result.seconds,
                described(spec)
            ));
        }
    }

    /// Sets the number of steps that are done.
    pub fn advance(&mut self, done: usize) {
        self.done = done;
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        }
    }

    /// The number of steps that are done.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Removes the bar.
    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

fn described(spec: &AttemptSpec) -> String {
    if spec.trial.given.is_empty() {
        return "default parameters".to_owned();
    }
    crate::assignment::described(&spec.trial.given)
}
