//! Detects headings, bold text and lists line by line, after the CommonMark specification 0.31.

/// Whether the line is a heading (section 4.2): up to three spaces, one to six `#`, white space,
/// text.
pub(super) fn is_heading(line: &str) -> bool {
    let Some(line) = indented_at_most(line, 3) else {
        return false;
    };
    let words = line.trim_start_matches('#');
    let level = line.len() - words.len();
    (1..=6).contains(&level)
        && words.starts_with([' ', '\t'])
        && !words
            .trim_matches(|c: char| c == '#' || c.is_whitespace())
            .is_empty()
}

/// Whether the line starts an item of an unordered list (section 5.2), nested up to four levels.
/// `•` is not CommonMark, but models write it.
pub(super) fn is_bullet(line: &str) -> bool {
    indented_at_most(line, 12)
        .and_then(|line| line.strip_prefix(['-', '*', '+', '•']))
        .is_some_and(|rest| rest.starts_with([' ', '\t']) && !rest.trim().is_empty())
        && !is_rule(line)
}

/// Whether the line starts an item of an ordered list (section 5.2) with a number of at most three
/// digits, or begins with `Step` and a number, possibly bold or as a heading.
pub(super) fn is_numbered(line: &str) -> bool {
    let Some(line) = indented_at_most(line, 12) else {
        return false;
    };
    let line = line.trim_start_matches(['#', '*', ' ']);
    let step = line
        .strip_prefix("Step ")
        .or_else(|| line.strip_prefix("STEP "));
    let digits = step.unwrap_or(line);
    let rest = digits.trim_start_matches(|c: char| c.is_ascii_digit());
    if !(1..=3).contains(&(digits.len() - rest.len())) {
        return false;
    }
    let rest = match step {
        Some(_) => rest.strip_prefix([':', '.', ')', '*', ' ']),
        None => rest
            .strip_prefix(['.', ')'])
            .filter(|rest| rest.starts_with([' ', '\t', '*'])),
    };
    rest.is_some_and(|rest| !rest.trim().is_empty())
}

/// Whether the line contains strong emphasis (section 6.2): `**text**` or `__text__`, where the
/// text does not begin or end with white space, and the markers are not inside a word.
pub(super) fn has_bold(line: &str) -> bool {
    ["**", "__"].into_iter().any(|marker| {
        let mut rest = line;
        let mut before = None;
        while let Some(at) = rest.find(marker) {
            let opens_after = rest[..at].chars().next_back().or(before);
            let words = &rest[at + marker.len()..];
            if opens_after.is_none_or(|c| !c.is_alphanumeric())
                && words
                    .find(marker)
                    .is_some_and(|end| is_emphasised(words, end, marker))
            {
                return true;
            }
            before = marker.chars().next_back();
            rest = words;
        }
        false
    })
}

/// Removes fenced code blocks (section 4.5). An unclosed block runs to the end.
pub(super) fn without_fenced_code(text: &str) -> String {
    let mut prose = String::with_capacity(text.len());
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        let fence = line.trim_start();
        if fence.starts_with("```") || fence.starts_with("~~~") {
            inside = !inside;
        } else if !inside {
            prose.push_str(line);
        }
    }
    prose
}

fn is_emphasised(words: &str, end: usize, marker: &str) -> bool {
    let inner = &words[..end];
    let follows = words[end + marker.len()..].chars().next();
    let edges_are_words =
        !inner.starts_with(char::is_whitespace) && !inner.ends_with(char::is_whitespace);
    edges_are_words
        && inner.chars().any(char::is_alphanumeric)
        && follows.is_none_or(|c| !c.is_alphanumeric())
}

/// Whether the line is a thematic break such as `* * *` or `- - -` (section 4.1).
fn is_rule(line: &str) -> bool {
    line.chars()
        .all(|c| matches!(c, '-' | '*' | '+' | '•') || c.is_whitespace())
}

fn indented_at_most(line: &str, spaces: usize) -> Option<&str> {
    let rest = line.trim_start_matches([' ', '\t']);
    (line.len() - rest.len() <= spaces).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_and_their_near_misses() {
        for heading in ["# Title", "###### Deep", "  ## Indented", "## Closed ##"] {
            assert!(is_heading(heading), "{heading}");
        }
        for other in [
            "#hashtag",
            "####### seven",
            "    # code",
            "# ",
            "##",
            "C# code",
            "#1 choice",
        ] {
            assert!(!is_heading(other), "{other}");
        }
    }

    #[test]
    fn bullets_and_their_near_misses() {
        for bullet in [
            "- tea",
            "* tea",
            "+ tea",
            "• tea",
            "    - nested",
            "* **Tea**: hot",
        ] {
            assert!(is_bullet(bullet), "{bullet}");
        }
        for other in [
            "-5 degrees",
            "*emphasis*",
            "- ",
            "---",
            "* * *",
            "2 - 1",
            "--verbose",
        ] {
            assert!(!is_bullet(other), "{other}");
        }
    }

    #[test]
    fn numbered_steps_and_their_near_misses() {
        let steps = [
            "1. Boil",
            "12) Stir",
            "  3. Rest",
            "**Step 2:** Pour",
            "### Step 10: Eat",
            "1.\tBoil",
        ];
        for step in steps {
            assert!(is_numbered(step), "{step}");
        }
        for other in [
            "1.5 litres",
            "2024. A year",
            "1.",
            "3 eggs",
            "Steps 1",
            "7 + 5 = 12.",
            "1)",
        ] {
            assert!(!is_numbered(other), "{other}");
        }
    }

    #[test]
    fn bold_and_its_near_misses() {
        for bold in [
            "**Boil** it",
            "a __b c__ d",
            "(**x**)",
            "2 ** 3 and **yes**",
            "**Note:**",
        ] {
            assert!(has_bold(bold), "{bold}");
        }
        for other in [
            "2**3**2",
            "a ** b ** c",
            "****",
            "**open",
            "snake__case__name",
            "*one*",
        ] {
            assert!(!has_bold(other), "{other}");
        }
    }
}
