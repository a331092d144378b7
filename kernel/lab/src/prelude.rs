//! The names that every cell sees without an import.
//!
//! The prelude of polars; tensors and devices of tch; models and training; benchmarks, response
//! sets and teachers; statistics and figures; and the functions that talk to the notebook.

pub use std::collections::{BTreeMap, HashMap};
pub use std::path::{Path, PathBuf};

pub use offmodel_analysis::*;
pub use offmodel_evals::*;
pub use offmodel_events::input::{input, password};
pub use offmodel_events::interrupt::sleep;
pub use offmodel_events::{Interrupted, MimeBundle, Progress};
pub use offmodel_models::*;
pub use plotters;
pub use polars;
pub use polars::prelude::*;
pub use serde_json;
pub use tch;
pub use tch::{Device, Kind, Tensor};
pub use tokio;

pub use crate::batch::record;
// `display` is both the function and the macro.
pub use crate::display::{RichDisplay, clear_output, display};
pub use crate::frame_of;
