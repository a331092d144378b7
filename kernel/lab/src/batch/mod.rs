//! The runtime of compiled notebooks.
//!
//! `offmodel-program` generates one function from a notebook, whose cells are nested blocks between
//! [`begin`] and [`end`], and a `main` that passes it to [`main()`](main). The program runs in one
//! of three ways:
//!
//! - `program --attempt DIR` runs the attempt described by `DIR/spec.json` in this process;
//! - `program --serve` loads all libraries, then forks one child per requested attempt
//!   ([`offmodel_events::batch`]), so that an attempt costs milliseconds instead of loading libtorch;
//! - `program` alone runs with the default parameters and prints what cells show.
//!
//! The statements of a cell tagged `raises-exception` are a closure passed to [`allow`]; if they do
//! not compile, the generated code calls [`refuse`] with the compiler's message instead.
//!
//! An attempt writes its events to `DIR/events.jsonl`, and each frame given to [`record`] to
//! `DIR/NAME.parquet`. The process that started the attempt writes its result, because a process
//! cannot report its own death.

mod allowed_errors;
mod attempt;
mod block_on;
mod cell_boundary;
mod entry;
mod notebook;
mod parameters;
mod record;
mod serve;

pub use allowed_errors::{allow, allow_async, refuse};
pub use block_on::block_on;
pub use cell_boundary::{begin, end};
pub use entry::main;
pub use notebook::{Notebook, Segment};
pub use parameters::parameter;
pub use record::{RecordError, record};
