//! The library that cells and programs link: `liboffmodel.so`, the prelude.
//!
//! | module | purpose |
//! |---|---|
//! | [`prelude`] | the names that every cell sees without an import |
//! | [`live`] | the runtime of the interactive kernel: what the code around a cell calls |
//! | [`batch`] | the runtime of compiled notebooks: attempts, parameters, results |
//! | [`display`] | how values are shown, live and in batch |
//! | `cell_errors`, `cell_frames` | panics and failed `?` as errors with their line in a cell |
//!
//! The README of this crate says why it is one dynamic library.

pub mod batch;
mod cell_errors;
mod cell_frames;
pub mod display;
pub mod live;
pub mod prelude;
mod records;

pub use records::{RecordsError, frame_of};

#[doc(hidden)]
pub use polars;
#[doc(hidden)]
pub use tch;
#[doc(hidden)]
pub use tokio;
