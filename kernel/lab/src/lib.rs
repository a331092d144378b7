//! offmodel: the one thing that cells and programs import.
//!
//! This crate is compiled once into the dynamic library `liboffmodel.so`. A notebook's cells see
//! [`prelude`] without asking; [`live`] is the runtime of the interactive kernel, [`batch`] that
//! of compiled notebooks, [`display`] how values are shown in both.

pub mod batch;
pub mod display;
mod failures;
mod frames;
pub mod live;
pub mod prelude;
mod user_frames;

pub use frames::{RecordsError, frame_of};

#[doc(hidden)]
pub use polars;
#[doc(hidden)]
pub use tch;
#[doc(hidden)]
pub use tokio;
