//! The English model of Punkt: what it has learnt about abbreviations and about the case of words.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::sync::LazyLock;

/// Orthographic contexts in which a word was seen in training: bits of nltk's `ortho_context`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Contexts(u8);

impl Contexts {
    const BEGINNING_UPPER: u8 = 1 << 1;
    const MIDDLE_UPPER: u8 = 1 << 2;
    const UNKNOWN_UPPER: u8 = 1 << 3;
    const BEGINNING_LOWER: u8 = 1 << 4;
    const MIDDLE_LOWER: u8 = 1 << 5;
    const UNKNOWN_LOWER: u8 = 1 << 6;

    /// Whether the word was seen with an upper-case first letter.
    pub(super) fn upper(self) -> bool {
        self.0 & (Self::BEGINNING_UPPER | Self::MIDDLE_UPPER | Self::UNKNOWN_UPPER) != 0
    }

    /// Whether the word was seen with an upper-case first letter within a sentence.
    pub(super) fn upper_in_middle(self) -> bool {
        self.0 & Self::MIDDLE_UPPER != 0
    }

    /// Whether the word was seen with a lower-case first letter.
    pub(super) fn lower(self) -> bool {
        self.0 & (Self::BEGINNING_LOWER | Self::MIDDLE_LOWER | Self::UNKNOWN_LOWER) != 0
    }

    /// Whether the word was seen with a lower-case first letter at the start of a sentence.
    pub(super) fn lower_at_beginning(self) -> bool {
        self.0 & Self::BEGINNING_LOWER != 0
    }
}

#[derive(Debug, Default)]
pub(super) struct PunktModel {
    abbreviations: HashSet<&'static str>,
    sentence_starters: HashSet<&'static str>,
    /// Pairs whose first word ends with a period and does not end a sentence.
    collocations: HashSet<(&'static str, &'static str)>,
    contexts: HashMap<&'static str, Contexts>,
}

impl PunktModel {
    /// The model, which is read on first use and stays in memory.
    pub(super) fn english() -> &'static Self {
        static MODEL: LazyLock<PunktModel> = LazyLock::new(PunktModel::read);
        &MODEL
    }

    pub(super) fn is_abbreviation(&self, word: &str) -> bool {
        self.abbreviations.contains(word)
    }

    pub(super) fn is_sentence_starter(&self, word: &str) -> bool {
        self.sentence_starters.contains(word)
    }

    pub(super) fn is_collocation(&self, first: &str, second: &str) -> bool {
        self.collocations.contains(&(first, second))
    }

    pub(super) fn contexts(&self, word: &str) -> Contexts {
        self.contexts.get(word).copied().unwrap_or_default()
    }

    /// Reads the resource, which `tests/reference/punkt_model.py` writes.
    fn read() -> Self {
        const RESOURCE: &[u8] = include_bytes!("../../resources/punkt_english.tsv.gz");
        let mut text = String::new();
        // The resource is compiled in; a test counts its entries.
        let _ = flate2::read::GzDecoder::new(RESOURCE).read_to_string(&mut text);
        let mut model = Self::default();
        for line in String::leak(text).lines() {
            let fields: Vec<&'static str> = line.split('\t').collect();
            match fields[..] {
                ["abbreviation", word] => drop(model.abbreviations.insert(word)),
                ["starter", word] => drop(model.sentence_starters.insert(word)),
                ["collocation", first, second] => drop(model.collocations.insert((first, second))),
                ["context", word, flags] => {
                    let flags = Contexts(flags.parse().unwrap_or_default());
                    model.contexts.insert(word, flags);
                }
                _ => {}
            }
        }
        model
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_holds_the_whole_model() {
        let model = PunktModel::english();
        assert_eq!(model.abbreviations.len(), 156);
        assert_eq!(model.sentence_starters.len(), 39);
        assert_eq!(model.collocations.len(), 37);
        assert_eq!(model.contexts.len(), 20_366);
    }
}
