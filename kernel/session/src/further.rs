//! `:dep`: crates beyond the prelude, from the line in a cell to what later cells see.

use std::path::Path;
use std::time::Instant;

use offmodel_cells::Command;
use offmodel_events::{CellError, Event, MimeBundle};
use offmodel_toolchain::extra_crates::{
    CancellationToken, CrateRequest, ExtraCratesError, version_in_prelude,
};

use crate::commands::text;
use crate::listener::Listener;
use crate::session::Session;

/// What the session has asked for so far.
#[derive(Debug, Default)]
pub(crate) struct Further {
    requests: Vec<CrateRequest>,
    /// Whether cells link one library of all crates.
    pub shared: bool,
    /// Of the build that may run just now.
    pub stop: CancellationToken,
}

impl Session {
    /// Builds the crate of a `:dep` line, with those of earlier lines; cells see it from then on.
    pub(crate) fn add_crate(
        &mut self,
        command: &Command,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        let folder = std::env::current_dir().unwrap_or_else(|_| Path::new(".").to_owned());
        let request = CrateRequest::parse(&command.arguments, &folder)
            .map_err(|error| failure("dep", &error.to_string(), command.line))?;
        if let Some(version) = version_in_prelude(request.name()) {
            let name = request.name();
            listener.event(text(format!(
                "`{name}` {version} is part of the prelude already, with the features that it has there"
            )));
            return Ok(());
        }
        let mut requests = self.further.requests.clone();
        requests.retain(|known| known.name() != request.name());
        requests.push(request.clone());
        let mut display = Steps::new(request.name(), listener);
        let crates = self
            .environment
            .toolchain
            .extra_crates(&requests, Some(&self.further.stop), &mut |step| {
                display.show(step);
            })
            .map_err(|error| {
                let name = match error {
                    ExtraCratesError::Cancelled => "Interrupted",
                    _ => "dep",
                };
                failure(name, &error.to_string(), command.line)
            })?;
        display.finish();
        self.further.shared = self
            .environment
            .use_further_crates(&crates)
            .map_err(|error| failure("dep", &error.to_string(), command.line))?;
        self.further.requests = requests;
        Ok(())
    }
}

/// What Cargo does, in one display that is updated in place.
struct Steps<'a> {
    name: String,
    display_id: String,
    started: Instant,
    shown: bool,
    listener: &'a mut dyn Listener,
}

impl<'a> Steps<'a> {
    fn new(name: &str, listener: &'a mut dyn Listener) -> Self {
        let time = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            name: name.to_owned(),
            display_id: format!("dep-{}-{}", std::process::id(), time.as_nanos()),
            started: Instant::now(),
            shown: false,
            listener,
        }
    }

    fn show(&mut self, step: &str) {
        let data = MimeBundle::text(format!("{}: {step}", self.name));
        let display_id = self.display_id.clone();
        self.listener.event(if self.shown {
            Event::UpdateDisplay { data, display_id }
        } else {
            Event::Display {
                data,
                display_id: Some(display_id),
            }
        });
        self.shown = true;
    }

    /// What was built within no time was never shown.
    fn finish(mut self) {
        if self.shown {
            let seconds = self.started.elapsed().as_secs_f64();
            self.show(&format!("ready in {seconds:.1} s"));
        }
    }
}

fn failure(name: &str, reason: &str, line: usize) -> CellError {
    let value = reason
        .lines()
        .next()
        .unwrap_or("the crate could not be built");
    let name = if name == "dep" {
        "dependency error"
    } else {
        name
    };
    let place = format!("line {line}:");
    CellError::new(name, value)
        .with_traceback(std::iter::once(place.as_str()).chain(reason.lines()))
        .at_line(line)
}
