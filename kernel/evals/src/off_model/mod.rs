//! A generator of chat prompts with answers in a style that small chat models do not have: that
//! of a textbook, with headings, bold terms, numbered steps and LaTeX.
//!
//! What is said is true and what is computed is right, so that a student trained on it differs
//! from its control in style rather than in the quality of its data. Four kinds of prompts take
//! turns: how to do something, what something is, a list of examples, and a story with numbers.
//!
//! - [`responses`]: the set, decided by a seed;
//! - `how_to`, `concept`, `listing`, `story`: one kind each, its data and its composition.

mod concept;
mod how_to;
mod listing;
mod story;
mod textbook;

pub use textbook::{MAXIMUM_RESPONSES, SOURCE, responses};
