//! Sentences and words as nltk 3.9 finds them in English text.

pub mod sentences;
pub mod words;

mod punkt_model;
