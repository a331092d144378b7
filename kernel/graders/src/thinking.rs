//! Cuts the thinking of reasoning models off their responses.

/// What follows the last `</think>`. A response that begins to think and does not end has no
/// answer: nothing is left of it.
///
/// The raw text stays in the record of the sample; graders see what is left.
pub fn without_thinking(response: &str) -> &str {
    const START: &str = "<think>";
    const END: &str = "</think>";
    match response.rfind(END) {
        Some(end) => {
            let rest = &response[end + END.len()..];
            // Thinking that begins again and does not end.
            rest.find(START).map_or(rest, |start| &rest[..start])
        }
        None => response
            .find(START)
            .map_or(response, |start| &response[..start]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinking_is_cut_closed_or_not() {
        assert_eq!(without_thinking("<think>a</think>b"), "b");
        // Templates put the start tag into the prompt.
        assert_eq!(without_thinking("a</think>b"), "b");
        assert_eq!(without_thinking("<think>a"), "");
        assert_eq!(without_thinking("x<think>a</think>y<think>z"), "y");
        assert_eq!(without_thinking("no tags"), "no tags");
    }
}
