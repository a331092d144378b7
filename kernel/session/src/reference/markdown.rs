//! Converts rustdoc's HTML to Markdown, which front ends render and consoles can show as it is.

/// Markdown under construction.
#[derive(Debug, Default)]
pub(super) struct Markdown {
    text: String,
    /// Whether white space is significant, as inside `pre`.
    is_preformatted: bool,
    /// Whether the whole text is code, without any markup.
    is_code: bool,
}

impl Markdown {
    /// A declaration or signature, whose text is copied as it is.
    pub(super) fn code() -> Self {
        Self {
            is_preformatted: true,
            is_code: true,
            ..Self::default()
        }
    }

    /// Begins an HTML element.
    pub(super) fn open(&mut self, element: &[u8]) {
        if self.is_code {
            return;
        }
        match element {
            b"p" | b"ul" | b"ol" | b"table" => self.paragraph(),
            b"tr" | b"br" => self.text.push('\n'),
            b"li" => self.text.push_str("\n- "),
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => {
                self.paragraph();
                self.text.push_str("**");
            }
            b"pre" => {
                self.paragraph();
                self.text.push_str("```rust\n");
                self.is_preformatted = true;
            }
            b"code" if !self.is_preformatted => self.text.push('`'),
            b"td" | b"th" => self.text.push_str("  "),
            _ => {}
        }
    }

    /// Ends an HTML element.
    pub(super) fn close(&mut self, element: &[u8]) {
        if self.is_code {
            return;
        }
        match element {
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => self.text.push_str("**\n"),
            b"pre" => {
                self.is_preformatted = false;
                self.text.push_str("\n```\n");
            }
            b"code" if !self.is_preformatted => self.text.push('`'),
            _ => {}
        }
    }

    /// Appends text of the current element.
    pub(super) fn push(&mut self, text: &str) {
        // rustdoc puts this sign after every heading, as a link to it.
        if text == "§" {
            return;
        }
        if self.is_preformatted {
            self.text.push_str(text);
            return;
        }
        for (index, word) in text.split(char::is_whitespace).enumerate() {
            let at_start = self.text.ends_with(char::is_whitespace) || self.text.is_empty();
            if index > 0 && !at_start {
                self.text.push(' ');
            }
            self.text.push_str(word);
        }
    }

    /// The finished text, without surrounding white space.
    pub(super) fn finish(self) -> String {
        self.text.trim().to_owned()
    }

    /// Separates the following text by a blank line.
    fn paragraph(&mut self) {
        let length = self.text.trim_end().len();
        self.text.truncate(length);
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
    }
}
