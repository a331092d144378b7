//! A small subset of Markdown as HTML: headings, lists, tables, code blocks and paragraphs; inline
//! code, emphasis and links to the web.

use offmodel_analysis::escape_html;

/// Converts Markdown to HTML. All text is escaped.
pub(super) fn html(markdown: &str) -> String {
    let mut html = String::new();
    let mut open = None;
    let mut lines = markdown.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if trimmed.starts_with("```") {
            close(&mut html, &mut open);
            let code: Vec<&str> = lines
                .by_ref()
                .take_while(|line| !line.trim().starts_with("```"))
                .collect();
            html.push_str(&format!("<pre>{}</pre>\n", escape_html(&code.join("\n"))));
        } else if trimmed.is_empty() {
            close(&mut html, &mut open);
        } else if let Some((level, text)) = heading(trimmed) {
            close(&mut html, &mut open);
            // The page itself uses h1 and h2.
            let level = (level + 2).min(6);
            html.push_str(&format!("<h{level}>{}</h{level}>\n", inline(text)));
        } else if let Some(cells) = table_row(trimmed) {
            // The line below a table's head only aligns the columns.
            if !cells.iter().all(|cell| is_rule(cell)) {
                let element = if open == Some("table") { "td" } else { "th" };
                switch(&mut html, &mut open, "table");
                html.push_str(&row(&cells, element));
            }
        } else if let Some(item) = trimmed
            .strip_prefix("- ")
            .or_else(|| trimmed.strip_prefix("* "))
        {
            switch(&mut html, &mut open, "ul");
            html.push_str(&format!("<li>{}</li>\n", inline(item)));
        } else {
            switch(&mut html, &mut open, "p");
            html.push_str(&inline(trimmed));
            html.push('\n');
        }
    }
    close(&mut html, &mut open);
    html
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|&byte| byte == b'#').count();
    let text = line[level..].strip_prefix(' ')?;
    (1..=6).contains(&level).then_some((level, text))
}

fn table_row(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

fn is_rule(cell: &str) -> bool {
    cell.contains('-') && cell.chars().all(|character| matches!(character, '-' | ':'))
}

fn row(cells: &[&str], element: &str) -> String {
    let cells: String = cells
        .iter()
        .map(|cell| format!("<{element}>{}</{element}>", inline(cell)))
        .collect();
    format!("<tr>{cells}</tr>\n")
}

/// Closes the open element and opens another one, unless it is open already.
fn switch(html: &mut String, open: &mut Option<&'static str>, element: &'static str) {
    if *open != Some(element) {
        close(html, open);
        html.push_str(&format!("<{element}>"));
        *open = Some(element);
    }
}

fn close(html: &mut String, open: &mut Option<&'static str>) {
    if let Some(element) = open.take() {
        html.push_str(&format!("</{element}>\n"));
    }
}

/// Escapes a line; `code`, **strong**, *emphasis* and links keep their meaning.
fn inline(text: &str) -> String {
    let text = paired(&escape_html(text), "`", "code");
    links(&paired(&paired(&text, "**", "strong"), "*", "em"))
}

/// Replaces `[text](address)` by a link if the address begins with `http`. `text` is already escaped,
/// including quotes.
fn links(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after.split_once("](").and_then(|(words, behind)| {
            let (address, behind) = behind.split_once(')')?;
            let is_web = address.starts_with("https://") || address.starts_with("http://");
            (is_web && !words.contains('[')).then_some((words, address, behind))
        });
        result.push_str(before);
        match link {
            Some((words, address, behind)) => {
                result.push_str(&format!("<a href=\"{address}\">{words}</a>"));
                rest = behind;
            }
            None => {
                result.push('[');
                rest = after;
            }
        }
    }
    result + rest
}

/// Replaces pairs of `mark` by an element; an unpaired last mark stays.
fn paired(text: &str, mark: &str, element: &str) -> String {
    let parts: Vec<&str> = text.split(mark).collect();
    let mut result = String::new();
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        match (index % 2 == 1, is_last) {
            (true, false) => result.push_str(&format!("<{element}>{part}</{element}>")),
            (true, true) => {
                result.push_str(mark);
                result.push_str(part);
            }
            (false, _) => result.push_str(part),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structure_is_kept_and_everything_else_escaped() {
        assert_eq!(
            html(
                "# Title\n\nSome `code` and **more**\non two lines\n\n- one\n- <b>two</b>\n\n```\nlet x = 1 < 2;\n```"
            ),
            "<h3>Title</h3>\n<p>Some <code>code</code> and <strong>more</strong>\non two lines\n</p>\n<ul><li>one</li>\n<li>&lt;b&gt;two&lt;/b&gt;</li>\n</ul>\n<pre>let x = 1 &lt; 2;</pre>\n"
        );
        assert_eq!(
            html("<script>alert(1)</script>"),
            "<p>&lt;script&gt;alert(1)&lt;/script&gt;\n</p>\n"
        );
        assert_eq!(inline("2 * 3"), "2 * 3");
    }

    #[test]
    fn only_addresses_of_the_web_become_links() {
        assert_eq!(
            inline("see [the study](https://example.org/a\"b) and [1]"),
            "see <a href=\"https://example.org/a&quot;b\">the study</a> and [1]"
        );
        assert_eq!(
            inline("[x](javascript:alert(1))"),
            "[x](javascript:alert(1))"
        );
    }

    #[test]
    fn a_table_has_a_head_and_rows() {
        assert_eq!(
            html("| word | meaning |\n|---|:-:|\n| gap | `a` < b |"),
            "<table><tr><th>word</th><th>meaning</th></tr>\n<tr><td>gap</td><td><code>a</code> &lt; b</td></tr>\n</table>\n"
        );
    }
}
