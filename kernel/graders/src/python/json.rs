//! Whether Python's `json.loads` accepts a text.
//!
//! It is more lenient than RFC 8259 in some places (`NaN`, `Infinity`, lone surrogates, numbers of
//! any size) and stricter in one: an integer may have 4,300 digits at most.

/// Nesting at which `json.loads` raises `RecursionError`. lm-eval does not catch it; here such a
/// text is no JSON.
const MAX_DEPTH: usize = 990;
/// Digits of an integer beyond which Python refuses to convert it (`sys.get_int_max_str_digits`).
const MAX_INTEGER_DIGITS: usize = 4300;

/// Whether `json.loads` returns a value for the text.
pub fn is_json(text: &str) -> bool {
    let mut reader = Reader {
        bytes: text.as_bytes(),
        position: 0,
    };
    reader.skip_space();
    reader.value().is_some() && {
        reader.skip_space();
        reader.position == reader.bytes.len()
    }
}

/// What has to come next in an array or object.
#[derive(Clone, Copy)]
enum Container {
    Array,
    Object,
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Reader<'_> {
    /// Reads one value, with a stack of its own, so that nesting cannot exhaust that of the thread.
    fn value(&mut self) -> Option<()> {
        let mut open: Vec<Container> = Vec::new();
        loop {
            // A value begins here.
            match self.peek()? {
                b'[' => {
                    self.position += 1;
                    self.skip_space();
                    if self.take(b']') {
                        // An empty array is a whole value.
                    } else {
                        open.push(Container::Array);
                        if open.len() > MAX_DEPTH {
                            return None;
                        }
                        continue;
                    }
                }
                b'{' => {
                    self.position += 1;
                    self.skip_space();
                    if self.take(b'}') {
                        // An empty object is a whole value.
                    } else {
                        open.push(Container::Object);
                        if open.len() > MAX_DEPTH {
                            return None;
                        }
                        self.key()?;
                        continue;
                    }
                }
                _ => self.scalar()?,
            }
            // A value has ended: close containers, or go on to the next value.
            loop {
                let Some(container) = open.last().copied() else {
                    return Some(());
                };
                self.skip_space();
                let end = match container {
                    Container::Array => b']',
                    Container::Object => b'}',
                };
                if self.take(end) {
                    open.pop();
                    continue;
                }
                if !self.take(b',') {
                    return None;
                }
                self.skip_space();
                if let Container::Object = container {
                    self.key()?;
                }
                break;
            }
        }
    }

    /// A key and its colon.
    fn key(&mut self) -> Option<()> {
        self.string()?;
        self.skip_space();
        if !self.take(b':') {
            return None;
        }
        self.skip_space();
        Some(())
    }

    fn scalar(&mut self) -> Option<()> {
        const NAMES: [&str; 6] = ["null", "true", "false", "NaN", "Infinity", "-Infinity"];
        if self.peek()? == b'"' {
            return self.string();
        }
        let rest = &self.bytes[self.position..];
        if let Some(name) = NAMES.iter().find(|name| rest.starts_with(name.as_bytes())) {
            self.position += name.len();
            return Some(());
        }
        self.number()
    }

    fn string(&mut self) -> Option<()> {
        if !self.take(b'"') {
            return None;
        }
        loop {
            let byte = self.peek()?;
            self.position += 1;
            match byte {
                b'"' => return Some(()),
                // Control characters must be escaped.
                0..0x20 => return None,
                b'\\' => {
                    let escape = self.peek()?;
                    self.position += 1;
                    match escape {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            let digits = self.bytes.get(self.position..self.position + 4)?;
                            if !digits.iter().all(u8::is_ascii_hexdigit) {
                                return None;
                            }
                            self.position += 4;
                        }
                        _ => return None,
                    }
                }
                _ => {}
            }
        }
    }

    fn number(&mut self) -> Option<()> {
        self.take(b'-');
        let start = self.position;
        // A leading zero ends the integer, as in the grammar; what follows is then an error.
        if !self.take(b'0') {
            self.digits()?;
        }
        let integer_digits = self.position - start;
        let before_fraction = self.position;
        if self.take(b'.') && self.digits().is_none() {
            // "1." is the number 1 followed by something else.
            self.position = before_fraction;
        }
        let before_exponent = self.position;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.position += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.position += 1;
            }
            if self.digits().is_none() {
                self.position = before_exponent;
            }
        }
        let is_integer = self.position == before_fraction;
        (!is_integer || integer_digits <= MAX_INTEGER_DIGITS).then_some(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Option<()> {
        let rest = &self.bytes[self.position..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.position += count;
        (count > 0).then_some(())
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.position += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.position += usize::from(is_next);
        is_next
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.position).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_python_accepts_beyond_the_standard() {
        for text in [
            "NaN",
            "-Infinity",
            "[Infinity]",
            "1e999",
            "\"\\ud800\"",
            "12",
            "\"text\"",
            " {\"a\": [1, 2.5, {}], \"a\": null} ",
            "[]",
            "-0.5E+3",
        ] {
            assert!(is_json(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_for_python_either() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\" 1}",
            "{a: 1}",
            "'a'",
            "01",
            "1.",
            ".5",
            "-",
            "+1",
            "\"a\nb\"",
            "\"\\x\"",
            "[1] 2",
            "\u{feff}{}",
            "nan",
            "True",
            "[1 2]",
            "{\"a\":1,}",
        ] {
            assert!(!is_json(text), "{text}");
        }
    }

    #[test]
    fn size_and_depth_are_bounded_without_recursion() {
        assert!(is_json(&"9".repeat(4300)));
        assert!(!is_json(&"9".repeat(4301)));
        assert!(is_json(&format!("{}.0", "9".repeat(4301))));
        assert!(is_json(&format!("{}{}", "[".repeat(900), "]".repeat(900))));
        assert!(!is_json(&"[".repeat(1_000_000)));
    }
}
