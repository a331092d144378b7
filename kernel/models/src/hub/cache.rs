//! The cache folder of `huggingface_hub`
//! (<https://huggingface.co/docs/huggingface_hub/guides/manage-cache>).
//!
//! ```text
//! .locks/models--org--name/ETAG.lock      locked while the blob is written
//! models--org--name/blobs/ETAG            a file, named by its content
//! models--org--name/refs/main             the commit of a branch or tag
//! models--org--name/snapshots/COMMIT/...  the files of a commit, as links to blobs
//! ```

use std::io;
use std::path::{Path, PathBuf};

use offmodel_support::atomic_file;
use serde_json::Value;

/// The revision of a repository if none is given.
const DEFAULT_REVISION: &str = "main";
pub(super) const INDEX: &str = "model.safetensors.index.json";
pub(super) const SINGLE_FILE: &str = "model.safetensors";

/// A model repository on the hub at a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repo {
    /// `organisation/name`
    pub(crate) id: String,
    /// A branch, a tag or a commit.
    pub(crate) revision: String,
}

impl Repo {
    /// Parses `organisation/name` or `organisation/name@revision`; none if `text` has another form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (id, revision) = text.split_once('@').unwrap_or((text, DEFAULT_REVISION));
        let (organisation, name) = id.split_once('/')?;
        let is_plain = |part: &str| {
            let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && !part.starts_with('.') && part.chars().all(is_allowed)
        };
        let is_valid = is_plain(organisation) && is_plain(name) && is_plain(revision);
        is_valid.then(|| Self {
            id: id.to_owned(),
            revision: revision.to_owned(),
        })
    }

    /// The repository's folder in the cache.
    pub(super) fn folder(&self, cache: &Path) -> PathBuf {
        cache.join(format!("models--{}", self.id.replace('/', "--")))
    }

    /// The folder of the locks for the repository's blobs.
    pub(super) fn locks_folder(&self, cache: &Path) -> PathBuf {
        self.folder(&cache.join(".locks"))
    }

    /// The snapshot of the revision, if the cache has every file that a model is loaded from.
    pub(crate) fn complete_snapshot(&self, cache: &Path) -> Option<PathBuf> {
        let folder = self.folder(cache);
        let commit = if is_commit(&self.revision) {
            self.revision.clone()
        } else {
            std::fs::read_to_string(folder.join("refs").join(&self.revision)).ok()?
        };
        let snapshot = folder.join("snapshots").join(commit.trim());
        is_complete(&snapshot).then_some(snapshot)
    }
}

/// Whether `revision` is the full hash of a commit.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && is_hexadecimal(revision)
}

pub(super) fn is_hexadecimal(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a snapshot has every file that a model is loaded from. A link to a missing blob counts as
/// missing.
fn is_complete(snapshot: &Path) -> bool {
    let has = |name: &str| snapshot.join(name).is_file();
    if !has("config.json") || !has("tokenizer.json") {
        return false;
    }
    match std::fs::read(snapshot.join(INDEX)) {
        Ok(index) => shard_names(&index).is_ok_and(|names| names.iter().all(|name| has(name))),
        Err(_) => has(SINGLE_FILE),
    }
}

/// The file names of the shards in `model.safetensors.index.json`, each once.
pub(crate) fn shard_names(index: &[u8]) -> Result<Vec<String>, String> {
    let index: Value = serde_json::from_slice(index).map_err(|error| error.to_string())?;
    let Some(weight_map) = index["weight_map"].as_object() else {
        return Err("weight_map is not a map".to_owned());
    };
    let mut names = Vec::new();
    for (tensor, shard) in weight_map {
        // A name with a separator could lead out of the folder.
        match shard.as_str() {
            Some(name) if Path::new(name).file_name() == Some(name.as_ref()) => {
                names.push(name.to_owned());
            }
            _ => {
                return Err(format!(
                    "the shard of {tensor} is {shard}, expected a file name"
                ));
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Links the file `name` of a snapshot to a blob, and replaces an existing link.
pub(super) fn link_blob(folder: &Path, commit: &str, name: &str, etag: &str) -> io::Result<()> {
    let snapshot = folder.join("snapshots").join(commit);
    std::fs::create_dir_all(&snapshot)?;
    let target = Path::new("..").join("..").join("blobs").join(etag);
    let link = snapshot.join(name);
    if std::fs::read_link(&link).is_ok_and(|found| found == target) {
        return Ok(());
    }
    // Renaming makes the link appear as a whole, even if two processes do this at once.
    let temporary = snapshot.join(format!(".{name}.{}", std::process::id()));
    let _ = std::fs::remove_file(&temporary);
    std::os::unix::fs::symlink(target, &temporary)?;
    std::fs::rename(temporary, link)
}

/// Records the commit of a branch or tag.
pub(super) fn write_ref(folder: &Path, revision: &str, commit: &str) -> io::Result<()> {
    let refs = folder.join("refs");
    std::fs::create_dir_all(&refs)?;
    atomic_file::write(&refs.join(revision), commit.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_ids_are_distinguished_from_paths() {
        let qwen = Repo::parse("Qwen/Qwen3-4B-Instruct-2507").unwrap();
        assert_eq!(qwen.revision, "main");
        assert_eq!(
            qwen.folder(Path::new("/c")),
            Path::new("/c/models--Qwen--Qwen3-4B-Instruct-2507")
        );
        let pinned = Repo::parse("a/b@v1.0").unwrap();
        assert_eq!(
            (pinned.id.as_str(), pinned.revision.as_str()),
            ("a/b", "v1.0")
        );
        for path in [
            "model", "/a/b", "a/b/c", "../b", "a/..", "a/b c", "a/b@", "a/b@../c", "./b",
        ] {
            assert_eq!(Repo::parse(path), None, "{path}");
        }
    }
}
