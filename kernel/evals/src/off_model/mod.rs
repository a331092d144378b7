//! Generates chat prompts with responses in a style that small chat models do not have: that of a
//! textbook, with headings, bold terms, numbered steps and LaTeX.
//!
//! All statements are true and all calculations correct, so that a student trained on them differs
//! from its control in style rather than in the quality of its data. Four kinds of prompts
//! alternate: how to do something, what something is, a list of examples, and a word problem.
//!
//! - [`responses`]: generates the set from a seed;
//! - `how_to`, `concept`, `listing`, `story`: the data and the text of one kind each.

mod concept;
mod how_to;
mod listing;
mod story;
mod textbook;

pub use textbook::{MAX_RESPONSES, SOURCE, responses};
