//! Finds pages by path and by type.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};

use offmodel_toolchain::Toolchain;

use super::page::{Member, Page};
use super::write::{NAMES_FILE, Name, PAGES_FILE, reference_folder};

/// The reference of a prelude. Names are in memory; pages are read from disk one by one.
#[derive(Debug)]
pub(crate) struct Reference {
    /// Sorted by path.
    names: Vec<Name>,
    /// Indices of names by the last segment of their path, the shortest path first.
    by_last_segment: BTreeMap<String, Vec<usize>>,
    pages: File,
}

/// Smart pointers. rustdoc cannot list the methods of what they point to, which depends on their
/// argument.
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
    /// Opens the reference of the prelude, if it has been written.
    pub(crate) fn open(toolchain: &Toolchain) -> Option<Self> {
        let folder = reference_folder(toolchain).ok()?;
        let names: Vec<Name> =
            serde_json::from_slice(&fs::read(folder.join(NAMES_FILE)).ok()?).ok()?;
        let mut by_last_segment: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, name) in names.iter().enumerate() {
            by_last_segment
                .entry(last_segment(&name.path).to_owned())
                .or_default()
                .push(index);
        }
        for indices in by_last_segment.values_mut() {
            indices.sort_by_key(|&index| names[index].path.len());
        }
        let pages = File::open(folder.join(PAGES_FILE)).ok()?;
        Some(Self {
            names,
            by_last_segment,
            pages,
        })
    }

    /// The names in a module with their kinds; those in scope of a cell for the empty path.
    pub(crate) fn names_in(&self, module: &str) -> BTreeMap<&str, &'static str> {
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
                None => names.entry(rest).or_insert(kind_name(&name.kind)),
            };
        }
        names
    }

    /// The page of the name at a path, or else of any name with the same last segment.
    pub(crate) fn page(&self, path: &str) -> Option<Page> {
        let path = path.trim_start_matches("::");
        let path = ["offmodel::prelude::", "offmodel::"]
            .iter()
            .find_map(|prefix| path.strip_prefix(prefix))
            .unwrap_or(path);
        let exact = || self.names.iter().find(|name| name.path == path);
        let anywhere = || {
            let indices = self.by_last_segment.get(last_segment(path))?;
            self.names.get(*indices.first()?)
        };
        self.read(exact().or_else(anywhere)?)
    }

    /// The page of a type, given as rustc writes it.
    pub(crate) fn page_of_type(&self, type_name: &str) -> Option<Page> {
        self.page(type_path(type_name)?)
    }

    /// The members of a type, given as rustc writes it, and of the types that it dereferences to.
    pub(crate) fn members_of(&self, type_name: &str) -> Vec<Member> {
        /// The most types in a chain of pointers: `Arc<Mutex<Box<T>>>` is one of three.
        const MAX_DEREFS: usize = 4;
        let mut members = Vec::new();
        let mut type_name = Some(type_name);
        let mut by_deref = false;
        for _ in 0..MAX_DEREFS {
            let Some(path) = type_name.and_then(type_path) else {
                break;
            };
            let page = self.page(path).unwrap_or_default();
            let found = page.members.into_iter().map(|mut member| {
                member.by_deref |= by_deref;
                member
            });
            members.extend(found);
            type_name = match last_segment(path) {
                "array" => Some("[_]"),
                pointer if POINTERS.contains(&pointer) => type_name.and_then(first_argument),
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

/// The name of a kind of item for front ends, given rustdoc's.
fn kind_name(kind: &str) -> &'static str {
    match kind {
        "struct" | "enum" | "union" | "type" => "type",
        "fn" => "function",
        "macro" | "derive" | "attr" => "macro",
        "trait" | "traitalias" => "trait",
        "constant" | "static" => "constant",
        _ => "name",
    }
}

fn last_segment(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

/// The path of a type without references and generic arguments: `std::vec::Vec` for
/// `&mut std::vec::Vec<f64>`. None for types without a path, such as tuples.
fn type_path(type_name: &str) -> Option<&str> {
    let mut rest = type_name.trim();
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

/// The first generic argument of a type: `T` of `std::sync::Arc<T, A>`.
fn first_argument(type_name: &str) -> Option<&str> {
    let inner = type_name.split_once('<')?.1;
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
        for (type_name, expected) in [
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
            assert_eq!(type_path(type_name), expected, "{type_name}");
        }
    }

    #[test]
    fn a_pointer_points_to_its_first_argument() {
        let type_name = "std::sync::Arc<std::collections::HashMap<i32, (u8, f64)>, Global>";
        assert_eq!(
            first_argument(type_name),
            Some("std::collections::HashMap<i32, (u8, f64)>")
        );
        assert_eq!(first_argument("i32"), None);
    }
}
