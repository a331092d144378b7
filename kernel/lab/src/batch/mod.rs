//! The runtime of compiled notebooks.
//!
//! `offmodel-program` turns a notebook into one function, whose cells stand in nested blocks
//! between [`begin`] and [`end`], and a `main` that hands it to [`main()`](main). The program
//! then runs in one of three ways:
//!
//! - `program --attempt DIR` runs the attempt described by `DIR/spec.json` in this process;
//! - `program --serve` has everything loaded and forks one child per attempt it is asked for
//!   ([`offmodel_events::batch`]): an attempt then costs milliseconds instead of the start of libtorch;
//! - `program` alone runs with the default parameters and prints what cells show.
//!
//! Cells that may fail stand in a closure of their own ([`allow`]); those of them that do not
//! compile are left out, and their errors shown ([`refuse`]).
//!
//! An attempt writes its events to `DIR/events.jsonl` and its frames, given to [`record`], to
//! `DIR/NAME.parquet`. What it became is for its starter to say: a process cannot report its own
//! death.

mod allowed;
mod attempt;
mod block_on;
mod cells;
mod entry;
mod notebook;
mod parameters;
mod record;
mod serve;

pub use allowed::{allow, allow_async, refuse};
pub use block_on::block_on;
pub use cells::{begin, end};
pub use entry::main;
pub use notebook::{Notebook, Segment};
pub use parameters::parameter;
pub use record::{RecordError, record};
