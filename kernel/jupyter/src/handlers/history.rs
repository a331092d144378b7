//! [`history_request`](https://jupyter-client.readthedocs.io/en/stable/messaging.html#history):
//! the cells of this session, which is all that the kernel remembers.

use jupyter_protocol::{HistoryEntry, HistoryReply, HistoryRequest};

/// The number of this session in replies. Requests may also call it 0.
const SESSION: usize = 1;

/// The cells that were executed with `store_history`.
#[derive(Debug, Default)]
pub(crate) struct History(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    line: usize,
    input: String,
    output: String,
}

impl History {
    /// Adds a cell; `output` is the plain text of its result, if it has one.
    pub(crate) fn record(&mut self, line: usize, input: String, output: Option<String>) {
        self.0.push(Entry {
            line,
            input,
            output: output.unwrap_or_default(),
        });
    }

    /// The reply to a request.
    pub(crate) fn reply(&self, request: &HistoryRequest) -> HistoryReply {
        let (selected, output) = match request {
            HistoryRequest::Range {
                session,
                start,
                stop,
                output,
                ..
            } => (self.range(session.unwrap_or(0), *start, *stop), *output),
            HistoryRequest::Tail { n, output, .. } => (last(self.0.iter().collect(), *n), *output),
            HistoryRequest::Search {
                pattern,
                unique,
                output,
                n,
                ..
            } => (last(self.search(pattern, *unique), *n), *output),
        };
        HistoryReply::new(
            selected
                .into_iter()
                .map(|entry| entry.to_reply(output))
                .collect(),
        )
    }

    /// The cells whose line numbers are at least `start` and less than `stop`.
    fn range(&self, session: i32, start: i32, stop: i32) -> Vec<&Entry> {
        if session != 0 && usize::try_from(session) != Ok(SESSION) {
            return Vec::new();
        }
        let start = usize::try_from(start).unwrap_or(0);
        let stop = usize::try_from(stop).unwrap_or(0);
        self.0
            .iter()
            .filter(|entry| (start..stop).contains(&entry.line))
            .collect()
    }

    fn search(&self, pattern: &str, unique: bool) -> Vec<&Entry> {
        let pattern: Vec<char> = pattern.chars().collect();
        let matches = |entry: &&Entry| {
            let input: Vec<char> = entry.input.chars().collect();
            matches_glob(&pattern, &input)
        };
        let mut found: Vec<&Entry> = self.0.iter().filter(matches).collect();
        if unique {
            // Of equal inputs, the latest is kept.
            let mut seen = std::collections::HashSet::new();
            found.reverse();
            found.retain(|entry| seen.insert(&entry.input));
            found.reverse();
        }
        found
    }
}

impl Entry {
    fn to_reply(&self, output: bool) -> HistoryEntry {
        let input = self.input.clone();
        if output {
            HistoryEntry::InputOutput(SESSION, self.line, (input, self.output.clone()))
        } else {
            HistoryEntry::Input(SESSION, self.line, input)
        }
    }
}

fn last(mut entries: Vec<&Entry>, count: i32) -> Vec<&Entry> {
    let count = usize::try_from(count).unwrap_or(0);
    entries.split_off(entries.len().saturating_sub(count))
}

/// Returns whether the whole text matches a pattern in which `*` stands for any text and `?` for any
/// one character.
///
/// On a mismatch only the latest `*` takes one character more, which is enough and keeps the time
/// within the product of both lengths.
fn matches_glob(pattern: &[char], text: &[char]) -> bool {
    let (mut pattern_index, mut text_index) = (0, 0);
    // Where the latest `*` is in the pattern, and where the text that it takes ends.
    let mut star: Option<(usize, usize)> = None;
    while text_index < text.len() {
        match pattern.get(pattern_index) {
            Some('*') => {
                star = Some((pattern_index, text_index));
                pattern_index += 1;
            }
            Some(expected) if *expected == '?' || *expected == text[text_index] => {
                pattern_index += 1;
                text_index += 1;
            }
            _ => match star {
                Some((star_index, taken)) => {
                    star = Some((star_index, taken + 1));
                    pattern_index = star_index + 1;
                    text_index = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[pattern_index..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn history() -> History {
        let mut history = History::default();
        history.record(1, "let a = 1;".to_owned(), None);
        history.record(2, "a".to_owned(), Some("1".to_owned()));
        history.record(3, "a".to_owned(), Some("1".to_owned()));
        history
    }

    fn ask(request: Value) -> Value {
        let request = serde_json::from_value(request).unwrap();
        serde_json::to_value(history().reply(&request)).unwrap()["history"].clone()
    }

    #[test]
    fn a_range_ends_before_its_stop() {
        let request = json!({ "hist_access_type": "range", "session": 0, "start": 1, "stop": 3, "raw": true, "output": false });
        assert_eq!(ask(request), json!([[1, 1, "let a = 1;"], [1, 2, "a"]]));
    }

    #[test]
    fn a_range_of_another_session_is_empty() {
        let request = json!({ "hist_access_type": "range", "session": -1, "start": 1, "stop": 3, "raw": true, "output": false });
        assert_eq!(ask(request), json!([]));
    }

    #[test]
    fn the_tail_has_outputs_if_they_are_requested() {
        let request = json!({ "hist_access_type": "tail", "n": 1, "raw": true, "output": true });
        assert_eq!(ask(request), json!([[1, 3, ["a", "1"]]]));
    }

    #[test]
    fn a_search_is_a_glob_over_the_whole_input() {
        let search = |pattern: &str, unique: bool| {
            ask(
                json!({ "hist_access_type": "search", "pattern": pattern, "unique": unique, "n": 9, "raw": true, "output": false }),
            )
        };
        assert_eq!(search("let*;", false), json!([[1, 1, "let a = 1;"]]));
        assert_eq!(search("?", true), json!([[1, 3, "a"]]));
        assert_eq!(search("let", false), json!([]));
        assert_eq!(search("*a*1*", false), json!([[1, 1, "let a = 1;"]]));
    }
}
