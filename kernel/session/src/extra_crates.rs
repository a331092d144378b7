//! Crates beyond the prelude, which `:dep` lines add to the session.

use std::path::Path;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use offmodel_cells::Command;
use offmodel_events::{CellError, Event, MimeBundle};
use offmodel_toolchain::extra_crates::{
    CancellationToken, CrateRequest, ExtraCratesError, version_in_prelude,
};

use crate::child::Listener;
use crate::commands::display_text;
use crate::environment::Environment;

/// The kind of error of a `:dep` line.
const DEPENDENCY_ERROR: &str = "dependency error";

/// The crates that the session has added so far.
#[derive(Debug, Default)]
pub(crate) struct SessionCrates {
    requests: Vec<CrateRequest>,
    links_shared_library: bool,
    cancellation: CancellationToken,
}

impl SessionCrates {
    /// Builds the crate of a `:dep` line together with those of earlier lines. Later cells can use
    /// it.
    pub(crate) fn add(
        &mut self,
        command: &Command,
        environment: &Environment,
        listener: &mut dyn Listener,
    ) -> Result<(), CellError> {
        let line = command.line;
        let folder = std::env::current_dir().unwrap_or_else(|_| Path::new(".").to_owned());
        let request = CrateRequest::parse(&command.arguments, &folder)
            .map_err(|error| error_at_line(DEPENDENCY_ERROR, &error.to_string(), line))?;
        let name = request.name();
        if let Some(version) = version_in_prelude(name) {
            listener.event(display_text(format!(
                "`{name}` {version} is part of the prelude already, with the features that it has there"
            )));
            return Ok(());
        }
        let mut requests = self.requests.clone();
        requests.retain(|known| known.name() != name);
        requests.push(request.clone());
        let mut display = BuildDisplay::new(name, listener);
        let crates = environment
            .toolchain
            .extra_crates(&requests, Some(&self.cancellation), &mut |step| {
                display.show(step);
            })
            .map_err(|error| {
                let kind = match error {
                    ExtraCratesError::Cancelled => "Interrupted",
                    _ => DEPENDENCY_ERROR,
                };
                error_at_line(kind, &error.to_string(), line)
            })?;
        display.finish();
        self.links_shared_library = environment
            .use_extra_crates(&crates)
            .map_err(|error| error_at_line(DEPENDENCY_ERROR, &error.to_string(), line))?;
        self.requests = requests;
        Ok(())
    }

    /// Whether cells link one shared library of all crates, so that the statics of a crate exist
    /// once for all cells.
    pub(crate) fn links_shared_library(&self) -> bool {
        self.links_shared_library
    }

    /// Cancels a running build.
    pub(crate) fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }
}

/// The progress of a build, as one display that is updated in place.
struct BuildDisplay<'a> {
    crate_name: String,
    display_id: String,
    started: Instant,
    is_shown: bool,
    listener: &'a mut dyn Listener,
}

impl<'a> BuildDisplay<'a> {
    fn new(crate_name: &str, listener: &'a mut dyn Listener) -> Self {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            crate_name: crate_name.to_owned(),
            display_id: format!("dep-{}-{}", std::process::id(), since_epoch.as_nanos()),
            started: Instant::now(),
            is_shown: false,
            listener,
        }
    }

    fn show(&mut self, step: &str) {
        let data = MimeBundle::text(format!("{}: {step}", self.crate_name));
        let display_id = self.display_id.clone();
        self.listener.event(if self.is_shown {
            Event::UpdateDisplay { data, display_id }
        } else {
            Event::Display {
                data,
                display_id: Some(display_id),
            }
        });
        self.is_shown = true;
    }

    /// Shows the time of the build. A crate that was built before has no steps and shows nothing.
    fn finish(mut self) {
        if self.is_shown {
            let seconds = self.started.elapsed().as_secs_f64();
            self.show(&format!("ready in {seconds:.1} s"));
        }
    }
}

fn error_at_line(kind: &str, reason: &str, line: usize) -> CellError {
    let value = reason
        .lines()
        .next()
        .unwrap_or("the crate could not be built");
    let position = format!("line {line}:");
    CellError::new(kind, value)
        .with_traceback(std::iter::once(position.as_str()).chain(reason.lines()))
        .at_line(line)
}
