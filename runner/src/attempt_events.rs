//! What an attempt said: its `events.jsonl`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use offmodel_events::{CellError, Event};

/// What the events of an attempt tell, besides its outputs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventSummary {
    /// The cell that began last and did not end.
    pub running: Option<usize>,
    /// The error after which no further cell began, with the number of its cell (0 if no cell
    /// ran).
    pub error: Option<(usize, CellError)>,
    /// Names of the recorded frames, in order of first recording.
    pub frames: Vec<String>,
    /// Cells that ended well.
    pub finished_cells: usize,
}

impl EventSummary {
    /// Takes one more event into account.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::CellStarted { cell } => {
                self.running = Some(*cell);
                // The notebook went on behind a cell that may fail.
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

/// Hands every event of a file to `take`, in order.
///
/// Lines that are no events are skipped: the last one may be half written by a process that was
/// killed, and newer programs may say more.
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
