//! Pages by path and by type.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};

use offmodel_toolchain::Toolchain;

use super::write::{NAMES, Name, PAGES, folder};
use super::{Member, Page};

/// The names of a prelude, whose pages are read when they are asked for.
#[derive(Debug)]
pub(crate) struct Reference {
    /// Sorted by path.
    names: Vec<Name>,
    /// Indices of names by the last part of their path, the shortest path first.
    by_last: BTreeMap<String, Vec<usize>>,
    pages: File,
}

/// What pointers give besides their own methods: those of what they point to.
const POINTERS: [&str; 8] = [
    "Arc",
    "Box",
    "MutexGuard",
    "Rc",
    "Ref",
    "RefMut",
    "RwLockReadGuard",
    "RwLockWriteGuard",
];

impl Reference {
    /// The reference of this prelude, if it has been written.
    pub fn open(toolchain: &Toolchain) -> Option<Self> {
        let folder = folder(toolchain).ok()?;
        let names: Vec<Name> = serde_json::from_slice(&fs::read(folder.join(NAMES)).ok()?).ok()?;
        let mut by_last: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, name) in names.iter().enumerate() {
            by_last
                .entry(last(&name.path).to_owned())
                .or_default()
                .push(index);
        }
        for indices in by_last.values_mut() {
            indices.sort_by_key(|&index| names[index].path.len());
        }
        let pages = File::open(folder.join(PAGES)).ok()?;
        Some(Self {
            names,
            by_last,
            pages,
        })
    }

    /// The names in a module, the root's for an empty path, each with its kind in a word.
    pub fn names_in(&self, module: &str) -> BTreeMap<&str, &'static str> {
        let module = module.trim_start_matches("::");
        let module = module.strip_prefix("offmodel::prelude").unwrap_or(module);
        let prefix = match module {
            "" => String::new(),
            path => format!("{path}::"),
        };
        let mut names = BTreeMap::new();
        for name in self.names.iter().filter(|name| name.kind != "primitive") {
            let Some(rest) = name.path.strip_prefix(&prefix) else {
                continue;
            };
            match rest.split_once("::") {
                Some((module, _)) => names.entry(module).or_insert("module"),
                None => names.entry(rest).or_insert(word(&name.kind)),
            };
        }
        names
    }

    /// What stands at a path, or else is called so anywhere.
    pub fn page(&self, path: &str) -> Option<Page> {
        let path = path.trim_start_matches("::");
        let path = ["offmodel::prelude::", "offmodel::"]
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix))
            .unwrap_or(path);
        let exact = || self.names.iter().find(|name| name.path == path);
        let anywhere = || {
            let indices = self.by_last.get(last(path))?;
            self.names.get(*indices.first()?)
        };
        self.read(exact().or_else(anywhere)?)
    }

    /// The page of a type as the compiler tells it.
    pub fn page_of_type(&self, told: &str) -> Option<Page> {
        self.page(head(told)?)
    }

    /// What can stand behind a dot after a value of this type.
    pub fn members_of(&self, told: &str) -> Vec<Member> {
        let mut members = Vec::new();
        let mut told = Some(told);
        let mut by_deref = false;
        // A pointer to a pointer to a pointer is enough.
        for _ in 0..4 {
            let Some(value) = told.and_then(head) else {
                break;
            };
            let page = self.page(value).unwrap_or_default();
            let found = page.members.into_iter().map(|mut member| {
                member.by_deref |= by_deref;
                member
            });
            members.extend(found);
            told = match last(value) {
                "array" => Some("[_]"),
                pointer if POINTERS.contains(&pointer) => told.and_then(first_argument),
                _ => None,
            };
            by_deref = true;
        }
        members
    }

    fn read(&self, name: &Name) -> Option<Page> {
        let mut pages = &self.pages;
        pages.seek(SeekFrom::Start(name.start)).ok()?;
        let mut bytes = Vec::new();
        pages
            .take(name.length as u64)
            .read_to_end(&mut bytes)
            .ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

/// rustdoc's word for a kind of item, in full.
fn word(kind: &str) -> &'static str {
    match kind {
        "struct" | "enum" | "union" | "type" => "type",
        "fn" => "function",
        "macro" | "derive" | "attr" => "macro",
        "trait" | "traitalias" => "trait",
        "constant" | "static" => "constant",
        _ => "name",
    }
}

fn last(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

/// The path of a type without references and arguments: `std::vec::Vec` of
/// `&mut std::vec::Vec<f64>`.
fn head(told: &str) -> Option<&str> {
    let mut rest = told.trim();
    loop {
        let shorter = ["&", "mut ", "impl ", "dyn ", "for<'_> ", "(dyn "]
            .iter()
            .find_map(|prefix| rest.strip_prefix(prefix));
        let shorter = shorter.or_else(|| match rest.strip_prefix('\'') {
            Some(lifetime) => lifetime.split_once(' ').map(|(_, after)| after),
            None => None,
        });
        match shorter {
            Some(shorter) => rest = shorter,
            None => break,
        }
    }
    match rest {
        "{integer}" => return Some("i32"),
        "{float}" => return Some("f64"),
        _ => {}
    }
    if let Some(inner) = rest.strip_prefix('[') {
        return Some(if inner.contains(';') {
            "array"
        } else {
            "slice"
        });
    }
    let is_path = |character: char| character.is_alphanumeric() || "_:".contains(character);
    let end = rest.find(|character| !is_path(character));
    let path = &rest[..end.unwrap_or(rest.len())];
    (!path.is_empty()).then_some(path)
}

/// `T` of `std::sync::Arc<T, A>`.
fn first_argument(told: &str) -> Option<&str> {
    let inner = told.split_once('<')?.1;
    let mut depth = 0;
    for (at, character) in inner.char_indices() {
        match character {
            '<' | '(' | '[' => depth += 1,
            '>' | ')' | ']' if depth > 0 => depth -= 1,
            '>' | ',' if depth == 0 => return Some(&inner[..at]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_looked_up_without_references_and_arguments() {
        for (told, expected) in [
            ("&mut std::vec::Vec<f64>", Some("std::vec::Vec")),
            ("&'static str", Some("str")),
            ("&[i32]", Some("slice")),
            ("[f64; 3]", Some("array")),
            ("{float}", Some("f64")),
            (
                "impl std::iter::Iterator<Item = i32>",
                Some("std::iter::Iterator"),
            ),
            ("(i32, f64)", None),
            ("!", None),
        ] {
            assert_eq!(head(told), expected, "{told}");
        }
    }

    #[test]
    fn a_pointer_leads_to_its_first_argument() {
        let told = "std::sync::Arc<std::collections::HashMap<i32, (u8, f64)>, Global>";
        assert_eq!(
            first_argument(told),
            Some("std::collections::HashMap<i32, (u8, f64)>")
        );
        assert_eq!(first_argument("i32"), None);
    }
}
