//! Reads the events of an attempt from its `events.jsonl`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use offmodel_events::{CellError, Event};

/// What the events of an attempt say about its course.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventSummary {
    /// The number of the cell that has started and not finished.
    pub running: Option<usize>,
    /// The error after which no further cell started, with the number of its cell (0 if no cell was
    /// running).
    pub error: Option<(usize, CellError)>,
    /// Names of the recorded frames, in the order in which they were first recorded.
    pub frames: Vec<String>,
    /// How many cells ran to their end without an error.
    pub finished_cells: usize,
}

impl EventSummary {
    /// Takes one more event into account.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::CellStarted { cell } => {
                self.running = Some(*cell);
                // The notebook went on, so the error was raised by a cell that may raise one.
                self.error = None;
            }
            Event::CellFinished { succeeded, .. } => {
                self.running = None;
                self.finished_cells += usize::from(*succeeded);
            }
            Event::Error { error } if self.error.is_none() => {
                self.error = Some((self.running.unwrap_or_default(), error.clone()));
            }
            Event::Recorded { name, .. } if !self.frames.contains(name) => {
                self.frames.push(name.clone());
            }
            _ => {}
        }
    }
}

/// Calls `take` with every event of a file, in order.
///
/// Lines that cannot be parsed are skipped: the last one may be incomplete because the process was
/// killed, and programs of a newer version may write events of other kinds.
///
/// # Errors
/// When the file cannot be read.
pub fn read_events(path: &Path, mut take: impl FnMut(Event)) -> std::io::Result<()> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        if let Ok(event) = serde_json::from_slice(&line) {
            take(event);
        }
        line.clear();
    }
    Ok(())
}
