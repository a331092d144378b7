//! Extracts an item and its members from a page of rustdoc.
//!
//! rustdoc's HTML is not stable between versions, but only that of one version is read: of the
//! toolchain that built the prelude. The ids of its sections (`method.head`, `structfield.name`) are
//! the anchors of links into documentation.

use html5gum::{StartTag, Token, Tokenizer};
use offmodel_cells::MemberKind;
use serde::{Deserialize, Serialize};

use super::markdown::Markdown;

/// An item with its members.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    /// `pub struct DataFrame { ... }`
    pub declaration: String,
    /// Markdown.
    pub documentation: String,
    pub members: Vec<Member>,
}

/// A member of an item: a name after its `.` or `::`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub name: String,
    pub kind: MemberKind,
    /// `pub fn head(&self, length: Option<usize>) -> DataFrame`
    pub signature: String,
    /// Markdown.
    pub documentation: String,
    /// Whether the member belongs to the type that the item dereferences to.
    pub by_deref: bool,
}

/// The length to which documentation is cut, in bytes.
const MAX_DOCUMENTATION: usize = 6000;

/// Methods from blanket implementations that are worth offering, with their signatures.
const BLANKET_METHODS: [(&str, &str); 4] = [
    ("into", "fn into(self) -> U"),
    ("to_owned", "fn to_owned(&self) -> T"),
    ("to_string", "fn to_string(&self) -> String"),
    ("try_into", "fn try_into(self) -> Result<U, U::Error>"),
];

impl Page {
    /// Reads the HTML of a page.
    pub(super) fn parse(html: &str) -> Self {
        // From there on the page lists auto traits and blanket implementations: most of its text,
        // and nearly the same for every type.
        let (own, blanket) = match html.find("id=\"synthetic-implementations\"") {
            Some(end) => html.split_at(end),
            None => (html, ""),
        };
        let mut reader = Reader::default();
        for Ok(token) in Tokenizer::new(own) {
            reader.read(token);
        }
        let mut page = reader.page;
        page.members.retain(|member| !member.name.is_empty());
        for (name, signature) in BLANKET_METHODS {
            if blanket.contains(&format!("id=\"method.{name}\"")) {
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

#[derive(Default)]
struct Reader {
    page: Page,
    /// Index of the member that the next signature and documentation belong to.
    current: Option<usize>,
    by_deref: bool,
    section: Option<Section>,
}

/// A part of the page that is being read.
struct Section {
    part: Part,
    /// The section ends with the end of this element.
    element: Vec<u8>,
    /// The number of open elements of that name.
    depth: usize,
    markdown: Markdown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Declaration,
    Documentation,
    Signature,
}

impl Reader {
    fn read(&mut self, token: Token) {
        match (&mut self.section, token) {
            (None, Token::StartTag(tag)) => self.open(&tag),
            (Some(section), Token::StartTag(tag)) => {
                if *tag.name == section.element {
                    section.depth += 1;
                }
                section.markdown.open(&tag.name);
            }
            (Some(section), Token::EndTag(tag)) => {
                if *tag.name == section.element {
                    section.depth -= 1;
                }
                if section.depth > 0 {
                    section.markdown.close(&tag.name);
                } else if let Some(section) = self.section.take() {
                    self.finish(section);
                }
            }
            (Some(section), Token::String(text)) => {
                section.markdown.push(&String::from_utf8_lossy(&text));
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
            // The compiler rejects unstable members in cells; `Page::parse` removes those without
            // a name.
            member.name.clear();
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
        self.section = Some(Section {
            part,
            element: tag.name.to_vec(),
            depth: 1,
            markdown: match part {
                Part::Documentation => Markdown::default(),
                Part::Declaration | Part::Signature => Markdown::code(),
            },
        });
    }

    fn finish(&mut self, Section { part, markdown, .. }: Section) {
        let mut text = markdown.finish();
        if text.len() > MAX_DOCUMENTATION {
            text.truncate(text.floor_char_boundary(MAX_DOCUMENTATION));
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
            // The documentation of a whole `impl` block.
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

/// The kind and name of the member whose section has this id. rustdoc appends a number to the id of
/// a second section of the same name: `method.from-1`.
fn member(id: &str, class: &str) -> Option<(MemberKind, String)> {
    let (kind, name) = id.split_once('.')?;
    let kind = match kind {
        "method" | "tymethod" => MemberKind::Method,
        "structfield" => MemberKind::Field,
        "variant" => MemberKind::Variant,
        "associatedconstant" => MemberKind::Constant,
        _ => return None,
    };
    // Links inside the page have such ids too, but no class.
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
