//! The text of a response while its tokens are generated.

use crate::{ModelError, Tokenizer};

/// What decoders emit for bytes that are not, or not yet, a complete UTF-8 character.
const REPLACEMENT_CHARACTER: char = '\u{fffd}';

/// Turns tokens into text one by one, truncates it at the first stop string, and withholds text
/// that may become a stop string.
///
/// Tokens cannot be decoded in isolation: a character may span several of them, and some decoders
/// treat the first token differently (SentencePiece drops its leading space). So a sliding window
/// is decoded: some context tokens whose text is known, then the new ones. Decoding the whole
/// response for every token instead would take quadratic time.
#[derive(Debug, Clone, Default)]
pub(super) struct IncrementalDetokenizer {
    /// Context tokens, then tokens that do not yet decode to complete characters.
    window: Vec<u32>,
    /// How many tokens of the window are context.
    context_tokens: usize,
    /// Bytes of the text of the context.
    context_bytes: usize,
    /// The text so far.
    text: String,
    /// Length of the start of the text that is known to contain no start of a stop string.
    searched_bytes: usize,
    /// Length of the start of the text that `take_new_text` has returned.
    taken_bytes: usize,
}

impl IncrementalDetokenizer {
    /// Starts after the tokens of a prefill; also returns their text, which is not part of the
    /// response's. A character that the prefill leaves incomplete belongs to the response.
    pub(super) fn after_prefill(
        prefill: &[u32],
        tokenizer: &Tokenizer,
    ) -> Result<(Self, String), ModelError> {
        let mut detokenizer = Self::default();
        for &token in prefill {
            detokenizer.push(token, tokenizer)?;
        }
        let text = std::mem::take(&mut detokenizer.text);
        Ok((detokenizer, text))
    }

    /// Appends a token. The text grows when its last character is complete.
    pub(super) fn push(&mut self, token: u32, tokenizer: &Tokenizer) -> Result<(), ModelError> {
        self.window.push(token);
        let decoded = tokenizer.decode(&self.window)?;
        if !decoded.ends_with(REPLACEMENT_CHARACTER) {
            self.append_new_text(&decoded, tokenizer)?;
        }
        Ok(())
    }

    /// Appends the text of an incomplete character too, because no token follows.
    pub(super) fn flush(&mut self, tokenizer: &Tokenizer) -> Result<(), ModelError> {
        let decoded = tokenizer.decode(&self.window)?;
        self.append_new_text(&decoded, tokenizer)
    }

    /// Appends what `decoded`, the text of the window, has beyond the text of the context. The new
    /// tokens become the context of the next ones.
    fn append_new_text(&mut self, decoded: &str, tokenizer: &Tokenizer) -> Result<(), ModelError> {
        let new = decoded.get(self.context_bytes..);
        let Some(new) = new.filter(|new| !new.is_empty()) else {
            return Ok(());
        };
        self.text.push_str(new);
        self.window.drain(..self.context_tokens);
        self.context_tokens = self.window.len();
        self.context_bytes = tokenizer.decode(&self.window)?.len();
        Ok(())
    }

    /// Truncates the text where the first stop string starts; returns whether there is one.
    pub(super) fn truncate_at_stop(&mut self, stops: &[String]) -> bool {
        let from = self.searched_bytes;
        let found = stops
            .iter()
            .filter_map(|stop| self.text[from..].find(stop))
            .min();
        if let Some(position) = found {
            self.text.truncate(from + position);
            self.searched_bytes = self.text.len();
        } else {
            self.searched_bytes = self.text.len() - self.possible_stop_bytes(stops);
        }
        found.is_some()
    }

    /// The text since the last call. Unless the response has finished, the end of it that may
    /// become a stop string is withheld.
    pub(super) fn take_new_text(&mut self, stops: &[String], is_finished: bool) -> &str {
        let withheld = if is_finished {
            0
        } else {
            self.possible_stop_bytes(stops)
        };
        let end = self.text.len() - withheld;
        // Truncation never reaches taken text: the start of a stop string was withheld.
        let start = self.taken_bytes.min(end);
        self.taken_bytes = end;
        &self.text[start..end]
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Bytes at the end of the text with which a stop string starts.
    fn possible_stop_bytes(&self, stops: &[String]) -> usize {
        let longest_start = |stop: &String| {
            let starts = stop.char_indices().map(|(end, _)| &stop[..end]);
            starts
                .rev()
                .find(|start| self.text.ends_with(start))
                .map_or(0, str::len)
        };
        stops.iter().map(longest_start).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokenizers::decoders::byte_level::ByteLevel;
    use tokenizers::models::bpe::{BPE, Vocab};
    use tokenizers::pre_tokenizers::byte_level::ByteLevel as ByteLevelPreTokenizer;

    /// A tokenizer with one token for every byte: the hardest case for characters of several bytes.
    fn byte_tokenizer() -> Tokenizer {
        let mut letters: Vec<char> = ByteLevelPreTokenizer::alphabet().into_iter().collect();
        letters.sort_unstable();
        let vocabulary: Vocab = (0..)
            .zip(&letters)
            .map(|(id, letter)| (letter.to_string(), id))
            .collect();
        let model = BPE::builder()
            .vocab_and_merges(vocabulary, vec![])
            .build()
            .unwrap();
        let mut inner = tokenizers::Tokenizer::new(model);
        inner.with_pre_tokenizer(Some(ByteLevelPreTokenizer::new(false, true, false)));
        inner.with_decoder(Some(ByteLevel::default()));
        Tokenizer::without_special_tokens(inner)
    }

    /// Detokenizes `text` byte by byte: the delta of each token, the detokenizer at the end, and
    /// whether a stop string was found.
    fn stream(text: &str, stops: &[&str]) -> (Vec<String>, IncrementalDetokenizer, bool) {
        let tokenizer = byte_tokenizer();
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut detokenizer = IncrementalDetokenizer::default();
        let mut deltas = Vec::new();
        for token in tokenizer.encode(text).unwrap() {
            detokenizer.push(token, &tokenizer).unwrap();
            let is_stopped = detokenizer.truncate_at_stop(&stops);
            deltas.push(detokenizer.take_new_text(&stops, is_stopped).to_owned());
            if is_stopped {
                return (deltas, detokenizer, true);
            }
        }
        detokenizer.flush(&tokenizer).unwrap();
        deltas.push(detokenizer.take_new_text(&stops, true).to_owned());
        (deltas, detokenizer, false)
    }

    #[test]
    fn characters_are_never_split() {
        let (deltas, ..) = stream("aé🐦!", &[]);
        assert_eq!(deltas, ["a", "", "é", "", "", "", "🐦", "!", ""]);
    }

    #[test]
    fn no_part_of_a_stop_string_is_ever_returned() {
        let (deltas, detokenizer, is_stopped) = stream("one</s> two", &["</s>"]);
        assert!(is_stopped);
        assert_eq!(deltas, ["o", "n", "e", "", "", "", ""]);
        assert_eq!(detokenizer.text(), "one");
        let (deltas, detokenizer, is_stopped) = stream("a<b </", &["</s>"]);
        assert!(!is_stopped);
        assert_eq!(deltas, ["a", "", "<b", " ", "", "", "</"]);
        assert_eq!(detokenizer.text(), "a<b </");
    }

    #[test]
    fn the_text_is_truncated_at_the_stop_string_that_starts_first() {
        assert_eq!(stream("x: aab", &["b", "aab"]).1.text(), "x: ");
        assert_eq!(stream("aaab", &["aab"]).1.text(), "a");
        assert_eq!(stream("né", &["é"]).1.text(), "n");
    }

    #[test]
    fn a_character_that_the_prefill_leaves_incomplete_belongs_to_the_response() {
        let tokenizer = byte_tokenizer();
        let tokens = tokenizer.encode("aé!").unwrap();
        let (mut detokenizer, prefill) =
            IncrementalDetokenizer::after_prefill(&tokens[..2], &tokenizer).unwrap();
        assert_eq!(prefill, "a");
        detokenizer.push(tokens[2], &tokenizer).unwrap();
        detokenizer.push(tokens[3], &tokenizer).unwrap();
        assert_eq!(detokenizer.text(), "é!");
    }

    proptest! {
        #[test]
        fn deltas_add_up_to_the_text_before_the_first_stop_string(
            text in "[ab<é🐦]{0,12}",
            stops in prop::collection::vec("[ab<é]{1,3}", 0..3),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let (deltas, detokenizer, _) = stream(&text, &stops);
            prop_assert_eq!(deltas.concat(), detokenizer.text());
            // Tokens come one by one, so the stop string that ends first counts.
            let cut = (0..=text.len()).filter(|&end| text.is_char_boundary(end)).find_map(|end| {
                let found = stops.iter().filter(|stop| text[..end].ends_with(*stop));
                found.map(|stop| end - stop.len()).min()
            });
            prop_assert_eq!(detokenizer.text(), &text[..cut.unwrap_or(text.len())]);
        }

        #[test]
        fn any_bytes_give_the_text_that_decoding_them_at_once_gives(
            tokens in prop::collection::vec(0_u32..256, 0..24),
        ) {
            let tokenizer = byte_tokenizer();
            let mut detokenizer = IncrementalDetokenizer::default();
            for &token in &tokens {
                detokenizer.push(token, &tokenizer).unwrap();
            }
            detokenizer.flush(&tokenizer).unwrap();
            prop_assert_eq!(detokenizer.text(), tokenizer.decode(&tokens).unwrap());
        }
    }
}
