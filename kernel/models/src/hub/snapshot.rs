//! The cache folder: `refs` name commits, `snapshots` have the files of a commit as links into
//! `blobs`, which are named by their content; `.locks`, beside the models, has a file for each that is being
//! written
//! (<https://huggingface.co/docs/huggingface_hub/guides/manage-cache>).

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// The revision that is meant where none is named.
pub(crate) const MAIN: &str = "main";
const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

/// A model of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository {
    /// `organisation/name`
    pub(crate) name: String,
    /// A branch, a tag or a commit.
    pub(crate) revision: String,
}

impl Repository {
    /// `organisation/name`, or `None` if `name` is not of that form; the revision is `main` or what
    /// follows an `@`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (name, revision) = name.split_once('@').unwrap_or((name, MAIN));
        let (organisation, model) = name.split_once('/')?;
        let plain = |part: &str| {
            let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(known)
        };
        let is_name = plain(organisation) && plain(model) && plain(revision);
        is_name.then(|| Self {
            name: name.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// Its folder in the cache.
    pub(super) fn folder(&self, cache: &Path) -> PathBuf {
        cache.join(format!("models--{}", self.name.replace('/', "--")))
    }

    /// Where the locks of its files are.
    pub(super) fn locks(&self, cache: &Path) -> PathBuf {
        self.folder(&cache.join(".locks"))
    }

    /// The snapshot of its revision, if the cache has all files that a model is loaded from.
    pub(crate) fn complete_snapshot(&self, cache: &Path) -> Option<PathBuf> {
        let folder = self.folder(cache);
        let commit = match is_commit(&self.revision) {
            true => self.revision.clone(),
            false => std::fs::read_to_string(folder.join("refs").join(&self.revision)).ok()?,
        };
        let snapshot = folder.join("snapshots").join(commit.trim());
        is_complete(&snapshot).then_some(snapshot)
    }
}

/// Whether this is the full name of a commit.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && is_hexadecimal(revision)
}

pub(super) fn is_hexadecimal(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// A link to a missing file counts as missing.
fn is_complete(snapshot: &Path) -> bool {
    let has = |name: &str| snapshot.join(name).is_file();
    if !has("config.json") || !has("tokenizer.json") {
        return false;
    }
    match std::fs::read(snapshot.join(INDEX)) {
        Ok(index) => shards(&index).is_ok_and(|shards| shards.iter().all(|shard| has(shard))),
        Err(_) => has(SINGLE),
    }
}

/// The files of weights that an index names.
pub(crate) fn shards(index: &[u8]) -> Result<Vec<String>, String> {
    let index: Value = serde_json::from_slice(index).map_err(|error| error.to_string())?;
    let Some(map) = index["weight_map"].as_object() else {
        return Err("weight_map is not a map".to_owned());
    };
    let mut names = Vec::new();
    for (tensor, shard) in map {
        // A name with a separator could lead out of the folder.
        match shard.as_str() {
            Some(name) if Path::new(name).file_name() == Some(name.as_ref()) => {
                names.push(name.to_owned());
            }
            _ => return Err(format!("the shard of {tensor} is {shard}, expected a name")),
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Puts a blob into a snapshot under a name, in place of what may be there.
pub(super) fn link(folder: &Path, commit: &str, name: &str, blob: &str) -> io::Result<()> {
    let snapshot = folder.join("snapshots").join(commit);
    std::fs::create_dir_all(&snapshot)?;
    let target = Path::new("..").join("..").join("blobs").join(blob);
    let link = snapshot.join(name);
    if std::fs::read_link(&link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    // Two processes may do this at once: the link appears by renaming.
    let new = snapshot.join(format!(".{name}.{}", std::process::id()));
    let _ = std::fs::remove_file(&new);
    std::os::unix::fs::symlink(target, &new)?;
    std::fs::rename(new, link)
}

/// Makes a branch or tag name a commit.
pub(super) fn set_reference(folder: &Path, revision: &str, commit: &str) -> io::Result<()> {
    let references = folder.join("refs");
    std::fs::create_dir_all(&references)?;
    let new = references.join(format!(".{revision}.{}", std::process::id()));
    std::fs::write(&new, commit)?;
    std::fs::rename(new, references.join(revision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_told_from_paths() {
        let qwen = Repository::parse("Qwen/Qwen3-4B-Instruct-2507").unwrap();
        assert_eq!(qwen.revision, "main");
        assert_eq!(
            qwen.folder(Path::new("/c")),
            Path::new("/c/models--Qwen--Qwen3-4B-Instruct-2507")
        );
        let pinned = Repository::parse("a/b@v1.0").unwrap();
        assert_eq!(
            (pinned.name.as_str(), pinned.revision.as_str()),
            ("a/b", "v1.0")
        );
        for path in [
            "model", "/a/b", "a/b/c", "../b", "a/..", "a/b c", "a/b@", "a/b@../c", "./b",
        ] {
            assert_eq!(Repository::parse(path), None, "{path}");
        }
    }
}
