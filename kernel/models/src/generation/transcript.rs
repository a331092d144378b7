//! The text of a response while its tokens come.

use crate::{ModelError, Tokenizer};

/// What a decoder writes for bytes that are not a character, or not yet.
const INCOMPLETE: char = '\u{fffd}';

/// Text that grows by whole characters, is cut at the first stop string and held back where one
/// may be beginning.
#[derive(Debug, Clone, Default)]
pub(super) struct Transcript {
    /// The last tokens whose text is settled, without which the text of the next may come out
    /// different, and those whose text is not.
    window: Vec<u32>,
    /// Tokens of the window whose text is settled, and the bytes of that text.
    settled: (usize, usize),
    text: String,
    /// Bytes of the text in which no stop string begins.
    searched: usize,
    /// Bytes of the text that were handed out.
    handed_out: usize,
}

impl Transcript {
    /// The transcript of a response that begins with these tokens; also the text of its beginning,
    /// which is not part of the transcript's.
    pub(super) fn after(
        beginning: &[u32],
        tokenizer: &Tokenizer,
    ) -> Result<(Self, String), ModelError> {
        let mut transcript = Self::default();
        for &token in beginning {
            transcript.push(token, tokenizer)?;
        }
        let text = std::mem::take(&mut transcript.text);
        Ok((transcript, text))
    }

    /// Appends a token.
    pub(super) fn push(&mut self, token: u32, tokenizer: &Tokenizer) -> Result<(), ModelError> {
        self.window.push(token);
        let text = tokenizer.decode(&self.window)?;
        if !text.ends_with(INCOMPLETE) {
            self.settle(&text, tokenizer)?;
        }
        Ok(())
    }

    /// No token follows: what is not a character yet will not become one.
    pub(super) fn end(&mut self, tokenizer: &Tokenizer) -> Result<(), ModelError> {
        let text = tokenizer.decode(&self.window)?;
        self.settle(&text, tokenizer)
    }

    /// Appends what `text`, that of the window, has beyond the settled text.
    fn settle(&mut self, text: &str, tokenizer: &Tokenizer) -> Result<(), ModelError> {
        let (tokens, bytes) = self.settled;
        let Some(new) = text.get(bytes..).filter(|new| !new.is_empty()) else {
            return Ok(());
        };
        self.text.push_str(new);
        self.window.drain(..tokens);
        let context = tokenizer.decode(&self.window)?;
        self.settled = (self.window.len(), context.len());
        Ok(())
    }

    /// Cuts the text where the first of these strings begins; whether one occurs.
    pub(super) fn cut_at(&mut self, stops: &[String]) -> bool {
        let from = self.searched;
        let found = stops
            .iter()
            .filter_map(|stop| self.text[from..].find(stop))
            .min();
        match found {
            Some(position) => {
                self.text.truncate(from + position);
                self.searched = self.text.len();
                true
            }
            None => {
                self.searched = self.text.len() - self.begun(stops);
                false
            }
        }
    }

    /// The text since the last call, without what may turn out to be a stop string; `is_over` when
    /// nothing follows.
    pub(super) fn hand_out(&mut self, stops: &[String], is_over: bool) -> &str {
        let held_back = if is_over { 0 } else { self.begun(stops) };
        let end = self.text.len() - held_back;
        // A stop string cannot begin earlier than was said before.
        let start = self.handed_out.min(end);
        self.handed_out = end;
        &self.text[start..end]
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Bytes at the end of the text with which one of these strings begins.
    fn begun(&self, stops: &[String]) -> usize {
        let of = |stop: &String| {
            let beginnings = stop.char_indices().map(|(end, _)| &stop[..end]);
            beginnings
                .rev()
                .find(|beginning| self.text.ends_with(beginning))
                .map_or(0, str::len)
        };
        stops.iter().map(of).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tokenizers::decoders::byte_level::ByteLevel;
    use tokenizers::models::bpe::{BPE, Vocab};
    use tokenizers::pre_tokenizers::byte_level::ByteLevel as Cut;

    /// A token for every byte: the hardest for characters of several bytes.
    fn bytes() -> Tokenizer {
        let mut letters: Vec<char> = Cut::alphabet().into_iter().collect();
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
        inner.with_pre_tokenizer(Some(Cut::new(false, true, false)));
        inner.with_decoder(Some(ByteLevel::default()));
        Tokenizer::of(inner)
    }

    /// The text handed out after each token, and whether a stop string came.
    fn stream(text: &str, stops: &[&str]) -> (Vec<String>, Transcript, bool) {
        let tokenizer = bytes();
        let stops: Vec<String> = stops.iter().map(|&stop| stop.to_owned()).collect();
        let mut transcript = Transcript::default();
        let mut pieces = Vec::new();
        for token in tokenizer.encode(text).unwrap() {
            transcript.push(token, &tokenizer).unwrap();
            let stopped = transcript.cut_at(&stops);
            pieces.push(transcript.hand_out(&stops, stopped).to_owned());
            if stopped {
                return (pieces, transcript, true);
            }
        }
        transcript.end(&tokenizer).unwrap();
        pieces.push(transcript.hand_out(&stops, true).to_owned());
        (pieces, transcript, false)
    }

    #[test]
    fn characters_come_whole() {
        let (pieces, ..) = stream("aé🐦!", &[]);
        assert_eq!(pieces, ["a", "", "é", "", "", "", "🐦", "!", ""]);
    }

    #[test]
    fn a_stop_string_is_never_shown_not_even_its_beginning() {
        let (pieces, transcript, stopped) = stream("one</s> two", &["</s>"]);
        assert!(stopped);
        assert_eq!(pieces, ["o", "n", "e", "", "", "", ""]);
        assert_eq!(transcript.text(), "one");
        let (pieces, transcript, stopped) = stream("a<b </", &["</s>"]);
        assert!(!stopped);
        assert_eq!(pieces, ["a", "", "<b", " ", "", "", "</"]);
        assert_eq!(transcript.text(), "a<b </");
    }

    #[test]
    fn the_stop_string_that_begins_first_cuts() {
        assert_eq!(stream("x: aab", &["b", "aab"]).1.text(), "x: ");
        assert_eq!(stream("aaab", &["aab"]).1.text(), "a");
        assert_eq!(stream("né", &["é"]).1.text(), "n");
    }

    #[test]
    fn a_beginning_that_ends_within_a_character_leaves_it_to_the_rest() {
        let tokenizer = bytes();
        let tokens = tokenizer.encode("aé!").unwrap();
        let (mut transcript, beginning) = Transcript::after(&tokens[..2], &tokenizer).unwrap();
        assert_eq!(beginning, "a");
        transcript.push(tokens[2], &tokenizer).unwrap();
        transcript.push(tokens[3], &tokenizer).unwrap();
        assert_eq!(transcript.text(), "é!");
    }

    proptest! {
        #[test]
        fn pieces_add_up_to_the_text_up_to_the_first_stop_string(
            text in "[ab<é🐦]{0,12}",
            stops in prop::collection::vec("[ab<é]{1,3}", 0..3),
        ) {
            let stops: Vec<&str> = stops.iter().map(String::as_str).collect();
            let (pieces, transcript, _) = stream(&text, &stops);
            prop_assert_eq!(pieces.concat(), transcript.text());
            // The stop string that ends first: tokens come one by one.
            let cut = (0..=text.len()).filter(|&end| text.is_char_boundary(end)).find_map(|end| {
                let found = stops.iter().filter(|stop| text[..end].ends_with(*stop));
                found.map(|stop| end - stop.len()).min()
            });
            prop_assert_eq!(transcript.text(), &text[..cut.unwrap_or(text.len())]);
        }

        #[test]
        fn any_bytes_come_out_as_the_decoder_has_them(
            tokens in prop::collection::vec(0_u32..256, 0..24),
        ) {
            let tokenizer = bytes();
            let mut transcript = Transcript::default();
            for &token in &tokens {
                transcript.push(token, &tokenizer).unwrap();
            }
            transcript.end(&tokenizer).unwrap();
            prop_assert_eq!(transcript.text(), tokenizer.decode(&tokens).unwrap());
        }
    }
}
