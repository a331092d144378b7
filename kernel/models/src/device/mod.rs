//! Devices: which there are, what fits on them, and which layers of a model go where.
//!
//! | module | purpose |
//! |---|---|
//! | [`best`] | the default devices |
//! | [`cuda`] | libtorch's CUDA library, loaded at run time |
//! | [`memory`] | free memory of devices, and how much of it weights may take |
//! | [`placement`] | distributes layers over devices |

mod best;
mod cuda;
mod memory;
mod placement;

pub use best::BestDevice;
pub(crate) use memory::{DeviceBudget, free_memory, weight_budgets};
pub(crate) use placement::{ParameterCounts, Placement};
