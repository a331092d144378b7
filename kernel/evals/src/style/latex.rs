//! Detects LaTeX formulas.

/// Longest inline formula, in bytes. A `$` further away belongs to something else.
const MAX_INLINE_BYTES: usize = 200;
/// Commands that occur only in formulas.
const COMMANDS: [&str; 14] = [
    "\\frac{",
    "\\dfrac{",
    "\\boxed{",
    "\\sqrt{",
    "\\text{",
    "\\mathrm{",
    "\\begin{",
    "\\times",
    "\\cdot",
    "\\div",
    "\\approx",
    "\\sum",
    "\\int",
    "\\leq",
];

/// Whether a text contains a formula: a command such as `\frac{`, a pair `\(...\)`, `\[...\]` or
/// `$$...$$`, or an inline `$...$`.
pub(super) fn has_latex(text: &str) -> bool {
    COMMANDS.iter().any(|command| text.contains(command))
        || has_pair(text, "\\(", "\\)")
        || has_pair(text, "\\[", "\\]")
        || has_pair(text, "$$", "$$")
        || text.lines().any(has_inline)
}

fn has_pair(text: &str, opening: &str, closing: &str) -> bool {
    text.split_once(opening)
        .and_then(|(_, rest)| rest.split_once(closing))
        .is_some_and(|(inner, _)| !inner.trim().is_empty())
}

/// Whether a line contains an inline formula `$...$`.
///
/// As in Pandoc's `tex_math_dollars`, the opening `$` must be followed and the closing `$` preceded
/// by a character other than white space, and no digit may follow the closing one. Beyond Pandoc,
/// the content must look like mathematics, so that `$5 to 6$` counts as money.
fn has_inline(line: &str) -> bool {
    let dollars: Vec<usize> = line.match_indices('$').map(|(at, _)| at).collect();
    dollars.windows(2).any(|pair| {
        let inner = &line[pair[0] + 1..pair[1]];
        let follows = line[pair[1] + 1..].chars().next();
        inner.len() <= MAX_INLINE_BYTES
            && !inner.starts_with(char::is_whitespace)
            && !inner.ends_with(char::is_whitespace)
            && follows.is_none_or(|c| !c.is_ascii_digit())
            && is_mathematics(inner)
    })
}

/// Whether the content of `$...$` has a mathematical operator, or is just a number or one letter.
fn is_mathematics(inner: &str) -> bool {
    let one_name = inner.chars().count() == 1 && inner.chars().all(char::is_alphabetic);
    let number = !inner.is_empty() && inner.chars().all(|c| c.is_ascii_digit());
    one_name || number || inner.contains(['\\', '^', '_', '=', '+', '<', '>'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas() {
        for formula in [
            "the area is $a^2$.",
            "let $x$ be",
            "$12$ apples",
            "$a = 3$ and $b = 4$",
            "costs \\(5\\)",
            "\\[ x = 1 \\]",
            "$$\n7 + 5\n$$",
            "so \\boxed{12}",
            "3 \\times 4",
        ] {
            assert!(has_latex(formula), "{formula}");
        }
    }

    #[test]
    fn money_and_shells_are_no_formulas() {
        for other in [
            "it costs $5",
            "$5 and $10",
            "$5-$10",
            "from $20 million to 30$ or so",
            "US$ 5 = A$ 8",
            "echo $HOME and $PATH",
            "$",
            "$$",
            "C:\\(x86",
            "\\n and \\t",
        ] {
            assert!(!has_latex(other), "{other}");
        }
    }
}
