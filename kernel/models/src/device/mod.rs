//! Devices: which there are, what fits on them, and which part of a model goes where.
//!
//! - [`best`]: the choice where the user makes none;
//! - [`cuda`]: libtorch's CUDA library, loaded at run time;
//! - [`memory`]: what is free; [`placement`]: layers over devices.

mod best;
mod cuda;
mod memory;
mod placement;

pub use best::BestDevice;
pub(crate) use memory::{Room, free_memory, rooms};
pub(crate) use placement::{Numbers, Placement};
