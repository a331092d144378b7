//! Modules of session, program and cells use only modules below them.
//!
//! Without circles, a reader can start at the bottom and understand every module with what was read
//! before. The test reads the sources: a module uses another one if it names it after `crate::` or,
//! within a folder, after `super::`.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The modules that each module uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_module_uses_itself_through_others() {
    let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in ["session", "program", "cells"] {
        let source = kernel.join(name).join("src");
        check(&uses_behind("crate::", &source), name);
        for entry in fs::read_dir(&source).unwrap() {
            let folder = entry.unwrap().path();
            if folder.is_dir() {
                let label = folder.display().to_string();
                check(&uses_behind("super::", &folder), &label);
            }
        }
    }
}

fn check(uses: &Uses, label: &str) {
    assert!(!uses.is_empty(), "no modules in {label}");
    for start in uses.keys() {
        let mut reached = BTreeSet::new();
        let mut next = vec![start];
        while let Some(module) = next.pop() {
            for used in uses.get(module).into_iter().flatten() {
                assert_ne!(
                    used, start,
                    "{label}: `{start}` uses itself through {reached:?}"
                );
                if reached.insert(used.clone()) {
                    next.push(used);
                }
            }
        }
    }
}

/// The uses between the modules in a folder. A subfolder is one module; `lib.rs` and `mod.rs` only
/// declare modules.
fn uses_behind(prefix: &str, folder: &Path) -> Uses {
    let mut uses = Uses::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["lib", "mod"].contains(&module.as_str()) {
            continue;
        }
        let mut used = names_behind(prefix, &path);
        used.remove(&module);
        uses.insert(module, used);
    }
    uses
}

/// The names of modules after `prefix` in the code of a file, or of all files in a folder. Names in
/// capitals, which a crate re-exports, are not modules.
fn names_behind(prefix: &str, path: &Path) -> BTreeSet<String> {
    if path.is_dir() {
        let files = fs::read_dir(path).unwrap();
        let names = files.flat_map(|file| names_behind(prefix, &file.unwrap().path()));
        return names.collect();
    }
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]").next().unwrap();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let behind = lines.flat_map(|line| line.split(prefix).skip(1));
    let names = behind.map(|rest| {
        let end = rest.find(|character: char| !(character.is_alphanumeric() || character == '_'));
        rest[..end.unwrap_or(rest.len())].to_owned()
    });
    names
        .filter(|name| name.starts_with(|first: char| first.is_ascii_lowercase()))
        .collect()
}
