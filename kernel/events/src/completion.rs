//! What a language reports about the text of a cell before it runs, in the terms of Jupyter's
//! [`complete_request`] and [`is_complete_request`].
//!
//! [`complete_request`]: https://jupyter-client.readthedocs.io/en/stable/messaging.html#completion
//! [`is_complete_request`]: https://jupyter-client.readthedocs.io/en/stable/messaging.html#code-completeness

/// The candidates for completion at a cursor, and the part of the source that each would replace.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completions {
    /// Start of the replaced part, as a byte offset.
    pub start: usize,
    /// End of the replaced part, as a byte offset.
    pub end: usize,
    /// The candidates, likeliest first.
    pub candidates: Vec<Candidate>,
}

/// One candidate of [`Completions`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidate {
    /// The text to insert.
    pub text: String,
    /// One word for what the text names: `function`, `column`, `variable`.
    pub kind: &'static str,
    /// Its signature or type; empty if unknown.
    pub signature: String,
}

/// Whether a console should run the lines typed so far or ask for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completeness {
    /// The text can run as it stands.
    Complete,
    /// More lines are needed.
    Incomplete {
        /// White space to start the next line with.
        indent: String,
    },
    /// No further line can make the text valid.
    Invalid,
}
