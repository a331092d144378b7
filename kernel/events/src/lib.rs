//! The protocols between a running cell and the kernel or runner that started it.
//!
//! A cell runs in a process of its own: the child of a live kernel, or the program of a trial.
//! Everything it shows (text, displays, errors, progress) leaves that process as an [`Event`], one
//! JSON object a line, through a private pipe or into a file. Standard output is not used, so that
//! nothing a cell prints can be mistaken for the protocol.
//!
//! | module | purpose |
//! |---|---|
//! | [`Event`], [`MimeBundle`], [`CellError`] | the events, with Jupyter's words |
//! | [`sink`] | writes them, within the limits of `output_limit` |
//! | [`capture`] | turns file descriptors 1 and 2 into [`Event::Stream`], C libraries included |
//! | [`input`] | asks the user for a line of text |
//! | [`inherited_file`] | takes a file descriptor that the parent process passed on |
//! | [`interrupt`] | the flag that long work checks |
//! | [`DisplayHandle`], [`Progress`] | a display updated in place; a progress bar made of it |
//! | [`completion`] | completions, and whether a cell is complete |
//! | [`batch`] | the protocol between a runner and a program that serves attempts |

pub mod batch;
pub mod capture;
mod cell_error;
pub mod completion;
mod display_handle;
mod event;
pub mod inherited_file;
pub mod input;
pub mod interrupt;
mod output_limit;
mod progress;
pub mod sink;

pub use cell_error::CellError;
pub use display_handle::DisplayHandle;
pub use event::{Event, MimeBundle, Stream};
pub use interrupt::Interrupted;
pub use progress::Progress;
pub use sink::emit;
