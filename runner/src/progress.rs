//! What the user sees while a sweep or a notebook runs: a bar in a terminal, plain lines
//! otherwise.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::estimate::{at_this_pace, in_words};
use crate::executor::AttemptSpec;
use crate::store::{AttemptResult, TrialStatus};
use crate::terminal::errln;

/// In sweeps of more trials than this, a plain line a second tells enough.
const EVERY_TRIAL: usize = 50;

/// Progress on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    done: usize,
    said: Option<Instant>,
    began: Instant,
}

impl Progress {
    /// For `total` steps named `unit`.
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
            said: None,
            began: Instant::now(),
        }
    }

    /// Says a line.
    pub fn println(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| errln!("{line}")),
            None => errln!("{line}"),
        }
    }

    /// An attempt of a sweep ended.
    pub fn attempt_ended(&mut self, spec: &AttemptSpec, result: &AttemptResult) {
        self.advance(self.done + 1);
        if let Some(cause) = &result.cause {
            let what = match result.status {
                TrialStatus::Cancelled => format!("was cancelled in attempt {}", result.attempt),
                _ => format!("failed in attempt {}: {cause}", result.attempt),
            };
            self.println(&format!(
                "trial {} {what} ({})",
                result.trial,
                describe(spec)
            ));
            return;
        }
        let due = self
            .said
            .is_none_or(|said| said.elapsed() >= Duration::from_secs(1));
        let last = self.done == self.total;
        if self.bar.is_none()
            && result.status == TrialStatus::Succeeded
            && (self.total <= EVERY_TRIAL || due || last)
        {
            self.said = Some(Instant::now());
            let (done, total) = (self.done, self.total);
            let left = at_this_pace(done, self.began.elapsed(), total.saturating_sub(done))
                .map_or_else(String::new, |left| {
                    format!(", about {} left", in_words(left))
                });
            self.println(&format!(
                "[{done}/{total}] trial {} succeeded in {:.2} s ({}){left}",
                result.trial,
                result.seconds,
                describe(spec)
            ));
        }
    }

    /// `done` steps are done.
    pub fn advance(&mut self, done: usize) {
        self.done = done;
        if let Some(bar) = &self.bar {
            bar.set_position(done as u64);
        }
    }

    /// How many steps are done.
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

fn describe(spec: &AttemptSpec) -> String {
    if spec.trial.overrides.is_empty() {
        return "default parameters".to_owned();
    }
    crate::assignment::describe(&spec.trial.overrides)
}
