//! IFEval (Zhou et al., 2023, arXiv:2311.07911): instructions that a program can check.
//!
//! The verdicts are those of lm-eval 0.4.13 with nltk 3.9 and langdetect seeded with 0, quirks
//! included, with two exceptions. Where lm-eval draws a missing argument at random, this is an
//! error before anything is graded; and a letter outside a to z (prompts 1122 and 1129) is taken as
//! it is given, as google-research does since 2025.

pub mod instruction;
mod language;
pub mod response;

pub use instruction::{Instruction, InstructionError};
pub use response::{Check, Graded, grade};
