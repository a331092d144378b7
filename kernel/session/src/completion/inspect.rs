//! Inspection: documentation of the name at the cursor.

use offmodel_events::MimeBundle;

use super::context::CompletionContext;
use super::cursor::{CursorTarget, TextBeforeCursor};
use super::expression_type::expression_type;
use crate::reference::{Member, Page};

/// The prelude variants of the standard library, which are in scope without the name of their type.
const VARIANTS_IN_SCOPE: [(&str, &str); 4] = [
    ("Some", "Option"),
    ("None", "Option"),
    ("Ok", "Result"),
    ("Err", "Result"),
];

/// The documentation of the name at `cursor`, a byte offset, or else of the function whose arguments
/// the cursor is in.
pub(crate) fn inspect(
    context: CompletionContext,
    source: &str,
    cursor: usize,
) -> Option<MimeBundle> {
    let cursor = source.floor_char_boundary(cursor);
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let rest = source[cursor..].trim_start_matches(is_word);
    let up_to_word_end = TextBeforeCursor::new(source, source.len() - rest.len());
    let is_name = up_to_word_end
        .word()
        .starts_with(|first: char| first.is_alphabetic() || first == '_');
    let is_code = !matches!(
        up_to_word_end.target(),
        CursorTarget::StringLiteral | CursorTarget::Nothing
    );
    if is_name && is_code {
        return inspect_target(context, &up_to_word_end);
    }
    let function_end = TextBeforeCursor::new(source, cursor).called_function()?;
    inspect_target(context, &TextBeforeCursor::new(source, function_end))
}

fn inspect_target(context: CompletionContext, before: &TextBeforeCursor) -> Option<MimeBundle> {
    let word = before.word();
    match before.target() {
        CursorTarget::Member { receiver, start } => {
            let type_name = expression_type(context, before, receiver, start)?;
            let members = context.members_of_type(&type_name);
            let member = members.iter().find(|member| member.name == word)?;
            Some(show_member(member, &type_name))
        }
        CursorTarget::Path { path } => inspect_in_path(context, path, word),
        CursorTarget::Name => inspect_name(context, word),
        CursorTarget::StringLiteral | CursorTarget::Nothing => None,
    }
}

fn inspect_in_path(context: CompletionContext, path: &str, word: &str) -> Option<MimeBundle> {
    let members = context.members_of_type(path);
    if let Some(member) = members.iter().find(|member| member.name == word) {
        return Some(show_member(member, path));
    }
    let page = context.reference?.page(&format!("{path}::{word}"))?;
    Some(show_page(&page))
}

fn inspect_name(context: CompletionContext, name: &str) -> Option<MimeBundle> {
    if let Some(variable) = context.notebook.variables().get(name) {
        let declaration = format!("{name}: {}", variable.short_type());
        let page = context
            .reference
            .and_then(|reference| reference.page_of_type(&variable.type_name))
            .unwrap_or_default();
        return Some(show(&declaration, &page.documentation));
    }
    let code: Vec<&str> = context
        .notebook
        .definitions()
        .iter()
        .filter(|item| item.owner.as_deref() == Some(name))
        .map(|item| item.code.as_str())
        .collect();
    if !code.is_empty() {
        return Some(show(&code.join("\n\n"), ""));
    }
    let mut variants = VARIANTS_IN_SCOPE.iter();
    if let Some((_, type_name)) = variants.find(|(variant, _)| *variant == name) {
        return inspect_in_path(context, type_name, name);
    }
    Some(show_page(&context.reference?.page(name)?))
}

fn show_page(page: &Page) -> MimeBundle {
    show(&page.declaration, &page.documentation)
}

fn show_member(member: &Member, type_name: &str) -> MimeBundle {
    let code = format!("// of {type_name}\n{}", member.signature);
    show(&code, &member.documentation)
}

/// Code with Markdown below it.
fn show(code: &str, documentation: &str) -> MimeBundle {
    let text = format!("{code}\n\n{documentation}");
    let markdown = format!("```rust\n{code}\n```\n\n{documentation}");
    MimeBundle::text(text.trim_end()).with("text/markdown", markdown.trim_end())
}
