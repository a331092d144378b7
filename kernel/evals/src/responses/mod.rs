//! Sets of responses to chat prompts, on which students are trained.
//!
//! - [`ResponseRecord`]: one prompt, one response and its source;
//! - [`ResponseSet`]: many records, read from and written to JSON lines;
//! - [`ResponseReader`]: reads one record at a time, for sets larger than memory;
//! - [`generate_responses`]: generates a set with a teacher, or with the student itself (the
//!   on-model control).

mod bounded_lines;
mod error;
mod generate;
mod reader;
mod record;
mod set;

pub use error::{LineProblem, ResponseSetError};
pub use generate::{GeneratedResponses, generate_responses};
pub use reader::{MAX_LINE_BYTES, ResponseReader};
pub use record::ResponseRecord;
pub use set::ResponseSet;
