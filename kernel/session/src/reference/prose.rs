//! HTML of documentation as markdown, which front ends show and people read as it is.

/// Text under construction.
#[derive(Debug, Default)]
pub(crate) struct Prose {
    text: String,
    /// Inside `pre`, where all white space counts.
    preformatted: bool,
    /// The text is code as a whole.
    code: bool,
}

impl Prose {
    /// For a declaration or a signature: its text as it is.
    pub fn code() -> Self {
        Self {
            preformatted: true,
            code: true,
            ..Self::default()
        }
    }

    pub fn open(&mut self, element: &[u8]) {
        if self.code {
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
                self.preformatted = true;
            }
            b"code" if !self.preformatted => self.text.push('`'),
            b"td" | b"th" => self.text.push_str("  "),
            _ => {}
        }
    }

    pub fn close(&mut self, element: &[u8]) {
        if self.code {
            return;
        }
        match element {
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" => self.text.push_str("**\n"),
            b"pre" => {
                self.preformatted = false;
                self.text.push_str("\n```\n");
            }
            b"code" if !self.preformatted => self.text.push('`'),
            _ => {}
        }
    }

    pub fn text(&mut self, text: &str) {
        // The sign of a link to the heading itself.
        if text == "§" {
            return;
        }
        if self.preformatted {
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

    /// The whole, without blank ends.
    pub fn finish(self) -> String {
        self.text.trim().to_owned()
    }

    fn paragraph(&mut self) {
        let kept = self.text.trim_end().len();
        self.text.truncate(kept);
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
    }
}
