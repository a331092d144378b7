//! What a page of rustdoc says about one item.
//!
//! rustdoc's HTML is read for exactly one compiler, the one that built the prelude. The ids of
//! its sections (`method.head`, `structfield.name`) are what links into documentation rest on.

use html5gum::{StartTag, Token, Tokenizer};
use serde::{Deserialize, Serialize};

use super::prose::Prose;

/// One item with its members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    /// `pub struct DataFrame { ... }`
    pub declaration: String,
    /// Markdown.
    pub documentation: String,
    pub members: Vec<Member>,
}

/// What can stand behind a `.` or a `::` of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub name: String,
    pub kind: MemberKind,
    /// `pub fn head(&self, length: Option<usize>) -> DataFrame`
    pub signature: String,
    /// Markdown.
    pub documentation: String,
    /// It belongs to what the item dereferences to.
    pub by_deref: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum MemberKind {
    /// Called on a value.
    Method,
    /// Called with the path of its type.
    Function,
    Field,
    Variant,
    Constant,
}

impl MemberKind {
    /// The kind in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Function => "function",
            Self::Field => "field",
            Self::Variant => "variant",
            Self::Constant => "constant",
        }
    }
}

impl From<offmodel_cells::MemberKind> for MemberKind {
    fn from(kind: offmodel_cells::MemberKind) -> Self {
        match kind {
            offmodel_cells::MemberKind::Method => Self::Method,
            offmodel_cells::MemberKind::Function => Self::Function,
            offmodel_cells::MemberKind::Field => Self::Field,
            offmodel_cells::MemberKind::Variant => Self::Variant,
            offmodel_cells::MemberKind::Constant => Self::Constant,
        }
    }
}

/// Longest documentation that is kept, in bytes: enough for an answer, not for a book.
const LONGEST: usize = 6000;

/// Methods that nearly every type has through an implementation for all types.
const UNIVERSAL: [(&str, &str); 4] = [
    ("into", "fn into(self) -> U"),
    ("to_owned", "fn to_owned(&self) -> T"),
    ("to_string", "fn to_string(&self) -> String"),
    ("try_into", "fn try_into(self) -> Result<U, U::Error>"),
];

impl Page {
    /// Reads a page.
    pub fn parse(html: &str) -> Self {
        // Behind it are the implementations for all types, most of the page and all alike.
        let (own, of_all) = match html.find("id=\"synthetic-implementations\"") {
            Some(end) => html.split_at(end),
            None => (html, ""),
        };
        let mut reader = Reader::default();
        for Ok(token) in Tokenizer::new(own) {
            reader.take(token);
        }
        let mut page = reader.page;
        page.members.retain(|member| member.name != UNSTABLE);
        for (name, signature) in UNIVERSAL {
            if of_all.contains(&format!("id=\"method.{name}\"")) {
                page.members.push(Member {
                    name: name.to_owned(),
                    kind: MemberKind::Method,
                    signature: signature.to_owned(),
                    documentation: String::new(),
                    by_deref: false,
                });
            }
        }
        page
    }
}

/// In place of the name of a member that this compiler refuses.
const UNSTABLE: &str = "";

#[derive(Default)]
struct Reader {
    page: Page,
    /// Whose signature and documentation come next.
    current: Option<usize>,
    by_deref: bool,
    reading: Option<Reading>,
}

/// The text that is being read, up to the end of its element.
struct Reading {
    part: Part,
    element: Vec<u8>,
    depth: usize,
    prose: Prose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Declaration,
    Documentation,
    Signature,
}

impl Reader {
    fn take(&mut self, token: Token) {
        match (&mut self.reading, token) {
            (None, Token::StartTag(tag)) => self.open(&tag),
            (Some(reading), Token::StartTag(tag)) => {
                if *tag.name == reading.element {
                    reading.depth += 1;
                }
                reading.prose.open(&tag.name);
            }
            (Some(reading), Token::EndTag(tag)) => {
                if *tag.name == reading.element {
                    reading.depth -= 1;
                }
                if reading.depth > 0 {
                    reading.prose.close(&tag.name);
                } else if let Some(reading) = self.reading.take() {
                    self.keep(reading);
                }
            }
            (Some(reading), Token::String(text)) => {
                reading.prose.text(&String::from_utf8_lossy(&text));
            }
            _ => {}
        }
    }

    fn open(&mut self, tag: &StartTag<()>) {
        let class = attribute(tag, b"class");
        let has = |name: &str| class.split(' ').any(|part| part == name);
        let id = attribute(tag, b"id");
        if id.starts_with("deref-methods") && *tag.name == b"h2" {
            self.by_deref = true;
        } else if id == "trait-implementations" {
            self.by_deref = false;
        } else if has("impl") {
            self.current = None;
        } else if let Some((kind, name)) = member(&id, &class) {
            self.current = Some(self.page.members.len());
            self.page.members.push(Member {
                name,
                kind,
                signature: String::new(),
                documentation: String::new(),
                by_deref: self.by_deref,
            });
        }
        if has("unstable")
            && has("stab")
            && let Some(member) = self.member()
        {
            member.name = UNSTABLE.to_owned();
        }
        let part = if has("item-decl") {
            Part::Declaration
        } else if has("docblock") {
            Part::Documentation
        } else if has("code-header") || id.starts_with("structfield.") {
            Part::Signature
        } else {
            return;
        };
        self.reading = Some(Reading {
            part,
            element: tag.name.to_vec(),
            depth: 1,
            prose: match part {
                Part::Documentation => Prose::default(),
                Part::Declaration | Part::Signature => Prose::code(),
            },
        });
    }

    fn keep(&mut self, Reading { part, prose, .. }: Reading) {
        let mut text = prose.finish();
        if text.len() > LONGEST {
            text.truncate(text.floor_char_boundary(LONGEST));
            text.push_str(" …");
        }
        let is_first = self.page.members.is_empty();
        match (part, self.member()) {
            (Part::Declaration, _) => self.page.declaration = text,
            (Part::Documentation, None) if is_first => self.page.documentation = text,
            (Part::Documentation, Some(member)) => member.documentation = text,
            (Part::Signature, Some(member)) => {
                if member.kind == MemberKind::Method && !takes_self(&text) {
                    member.kind = MemberKind::Function;
                }
                member.signature = text;
            }
            // Of an implementation as a whole.
            (Part::Documentation | Part::Signature, None) => {}
        }
    }

    fn member(&mut self) -> Option<&mut Member> {
        self.page.members.get_mut(self.current?)
    }
}

fn attribute(tag: &StartTag<()>, name: &[u8]) -> String {
    let value = tag.attributes.get(name).map(|value| value.to_vec());
    String::from_utf8(value.unwrap_or_default()).unwrap_or_default()
}

/// The member that a section with this id is about; the number behind a repeated id is dropped.
fn member(id: &str, class: &str) -> Option<(MemberKind, String)> {
    let (kind, name) = id.split_once('.')?;
    let kind = match kind {
        "method" | "tymethod" => MemberKind::Method,
        "structfield" => MemberKind::Field,
        "variant" => MemberKind::Variant,
        "associatedconstant" => MemberKind::Constant,
        _ => return None,
    };
    // Links inside the page carry such ids too, but no class.
    if class.is_empty() || name.contains('.') {
        return None;
    }
    let name = match name.rsplit_once('-') {
        Some((name, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => name,
    };
    Some((kind, name.to_owned()))
}

fn takes_self(signature: &str) -> bool {
    let parameters = signature.split_once('(').map_or("", |(_, after)| after);
    let first = parameters.split([',', ')']).next().unwrap_or_default();
    first
        .split([':', ' ', '&', '\n'])
        .any(|word| word == "self")
}
