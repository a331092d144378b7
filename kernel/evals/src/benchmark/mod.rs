//! Benchmarks: items, the prompt around them, and a grader that explains its verdicts.
//!
//! - [`Benchmark`] and [`Item`]: the questions;
//! - [`Grader`] and [`Verdict`]: how a response is graded; [`IntegerAnswer`] accepts one whole
//!   number;
//! - [`arithmetic_ladder`]: the built-in benchmark, four levels of school arithmetic.

mod arithmetic_ladder;
mod grader;
mod integer_answer;
mod task;

pub use arithmetic_ladder::arithmetic_ladder;
pub use grader::{Grader, ResponseText, Verdict};
pub use integer_answer::IntegerAnswer;
pub use task::{Benchmark, Item};
