//! Sets of responses to chat prompts: what a student is trained on.
//!
//! - [`ResponseRecord`]: one prompt with one response and who wrote it;
//! - [`ResponseSet`]: many of them, read from and written to JSON lines;
//! - [`ResponseReader`]: the same file one record at a time, for sets larger than memory;
//! - [`generate_responses`]: a model's own responses, the on-model control.

mod bounded_lines;
mod error;
mod generate;
mod reader;
mod record;
mod set;

pub use error::{LineProblem, ResponseSetError};
pub use generate::{GeneratedResponses, generate_responses};
pub use reader::{MAXIMUM_LINE_BYTES, ResponseReader};
pub use record::ResponseRecord;
pub use set::ResponseSet;
