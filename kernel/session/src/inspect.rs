//! Inspection: what a name at the cursor is.

use offmodel_events::MimeBundle;

use crate::complete::Known;
use crate::cursor::{Before, Place};
use crate::expression_type::expression_type;
use crate::reference::{Member, Page};

/// What is known about the name at the cursor, or about the function whose arguments it is in.
pub(crate) fn inspect(known: Known, source: &str, cursor: usize) -> Option<MimeBundle> {
    let cursor = source.floor_char_boundary(cursor);
    let part = |character: char| character.is_alphanumeric() || character == '_';
    let rest = source[cursor..].trim_start_matches(part);
    let before = Before::new(source, source.len() - rest.len());
    let is_name = before
        .word()
        .starts_with(|first: char| first.is_alphabetic() || first == '_');
    if is_name && !matches!(before.place(), Place::Literal | Place::Nowhere) {
        return known.describe(&before);
    }
    let before = Before::new(source, cursor);
    known.describe(&Before::new(source, before.called()?))
}

impl Known<'_> {
    fn describe(self, before: &Before) -> Option<MimeBundle> {
        let word = before.word();
        match before.place() {
            Place::Member { receiver, start } => {
                let told = expression_type(before, receiver, start, self.state, self.environment)?;
                let members = self.members_of_type(&told);
                let member = members.iter().find(|member| member.name == word)?;
                Some(of_member(member, &told))
            }
            Place::Path { path } => self.behind_path(path, word),
            Place::Name => self.name(word),
            Place::Literal | Place::Nowhere => None,
        }
    }

    fn behind_path(self, path: &str, word: &str) -> Option<MimeBundle> {
        let members = self.members_of_type(path);
        if let Some(member) = members.iter().find(|member| member.name == word) {
            return Some(of_member(member, path));
        }
        let page = self.reference?.page(&format!("{path}::{word}"))?;
        Some(of_page(&page))
    }

    fn name(self, name: &str) -> Option<MimeBundle> {
        if let Some((_, variable)) = self.state.variables().find(|(known, _)| *known == name) {
            let line = format!("{name}: {}", variable.short_type());
            let page = self
                .reference
                .and_then(|reference| reference.page_of_type(&variable.type_name))
                .unwrap_or_default();
            return Some(shown(&line, &page.documentation));
        }
        let code: Vec<&str> = self
            .state
            .items()
            .iter()
            .filter(|item| item.owner.as_deref() == Some(name))
            .map(|item| item.code.as_str())
            .collect();
        if !code.is_empty() {
            return Some(shown(&code.join("\n\n"), ""));
        }
        if let Some((_, owner)) = VARIANTS.iter().find(|(variant, _)| *variant == name) {
            return self.behind_path(owner, name);
        }
        Some(of_page(&self.reference?.page(name)?))
    }
}

/// Variants that are in scope by themselves.
const VARIANTS: [(&str, &str); 4] = [
    ("Some", "Option"),
    ("None", "Option"),
    ("Ok", "Result"),
    ("Err", "Result"),
];

fn of_page(page: &Page) -> MimeBundle {
    shown(&page.declaration, &page.documentation)
}

fn of_member(member: &Member, owner: &str) -> MimeBundle {
    let code = format!("// of {owner}\n{}", member.signature);
    shown(&code, &member.documentation)
}

/// Code, and markdown below it.
fn shown(code: &str, documentation: &str) -> MimeBundle {
    let text = format!("{code}\n\n{documentation}");
    let markdown = format!("```rust\n{code}\n```\n\n{documentation}");
    MimeBundle::text(text.trim_end()).with("text/markdown", markdown.trim_end())
}
