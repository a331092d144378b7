//! Graders of the study's benchmarks.
//!
//! A grader is a function of a response and an item: it needs no model, no process and no signal,
//! and any thread may call it. Each exists under a named rule whose verdicts agree with a named
//! reference, and each verdict explains itself in a sentence.
//!
//! | module | what it grades | reference |
//! |---|---|---|
//! | [`ifeval`] | whether instructions are followed | lm-eval 0.4.13, nltk 3.9, langdetect 1.0.9 |
//! | [`thinking`] | cuts thinking text before any other grader | |
//! | [`text`] | sentences and words of English | nltk 3.9 |
//! | [`python`] | Python's meaning of text operations | CPython 3.11 |
//!
//! No response makes a grader panic or takes it more than linear time in the length of the text.

pub mod ifeval;
pub mod python;
pub mod text;
pub mod thinking;
