//! Benchmarks: items, the prompt they are asked with, and a grader that explains its verdict.
//!
//! - [`Benchmark`] and [`Item`]: what is asked;
//! - [`Grader`] and [`Verdict`]: how an answer is judged; [`IntegerAnswer`] wants a whole number;
//! - [`arithmetic_ladder`]: the built-in benchmark, four levels of school arithmetic.

mod arithmetic_ladder;
mod grader;
mod integer_answer;
mod task;

pub use arithmetic_ladder::arithmetic_ladder;
pub use grader::{Answer, Grader, Verdict};
pub use integer_answer::IntegerAnswer;
pub use task::{Benchmark, Item};
