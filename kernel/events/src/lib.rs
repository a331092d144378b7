//! The typed event stream between running cells and whoever started them.
//!
//! A cell runs in a process of its own: the child of a live kernel, or the program of a trial.
//! Whatever it shows (text, displays, errors, progress) leaves that process as [`Event`]s, one
//! JSON object a line, over a private pipe or into a file, so that nothing a cell prints can be
//! mistaken for the protocol.
//!
//! - [`Event`], [`MimeBundle`], [`CellError`]: what is said;
//! - [`sink`]: where it goes;
//! - [`capture`]: file descriptors 1 and 2 turned into [`Event::Stream`], C libraries included;
//! - [`allowance`]: how much of it is shown;
//! - [`ask`]: questions to the person at the front end;
//! - [`interrupt`]: the flag that long work checks;
//! - [`LiveDisplay`]: a display that is updated in place; [`progress`]: a bar that is one.

pub mod allowance;
pub mod ask;
pub mod capture;
mod event;
pub mod interrupt;
mod live_display;
pub mod progress;
pub mod sink;

pub use event::{CellError, Event, MimeBundle, Stream};
pub use interrupt::Interrupted;
pub use live_display::LiveDisplay;
pub use progress::Progress;
pub use sink::emit;
