//! The files of a repository, and which of them a model is loaded from.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::cache::{INDEX, SINGLE_FILE, is_commit, is_hexadecimal};

const REQUIRED_FILES: [&str; 2] = ["config.json", "tokenizer.json"];
const OPTIONAL_FILES: [&str; 3] = [
    "tokenizer_config.json",
    "generation_config.json",
    "chat_template.jinja",
];

/// The files of a repository at a commit.
#[derive(Debug)]
pub(super) struct RepoInfo {
    pub(super) commit: String,
    /// The content of each file by its name.
    pub(super) files: BTreeMap<String, Blob>,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob {
    /// The name of the blob in the cache: the SHA-256 of a large file, git's SHA-1 of a small one.
    pub(super) etag: String,
    /// Bytes.
    pub(super) size: u64,
}

/// The response to `GET /api/models/ID/revision/REVISION?blobs=true`.
#[derive(Deserialize)]
struct ModelInfo {
    sha: String,
    siblings: Vec<RepoSibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RepoSibling {
    rfilename: String,
    blob_id: Option<String>,
    size: Option<u64>,
    lfs: Option<BlobLfsInfo>,
}

#[derive(Deserialize)]
struct BlobLfsInfo {
    sha256: String,
    size: u64,
}

impl RepoInfo {
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let info: ModelInfo = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if !is_commit(&info.sha) {
            return Err(format!("the commit is {:?}, expected a hash", info.sha));
        }
        let mut files = BTreeMap::new();
        for sibling in info.siblings {
            let blob = match (sibling.lfs, sibling.blob_id, sibling.size) {
                (Some(lfs), _, _) => Blob {
                    etag: lfs.sha256,
                    size: lfs.size,
                },
                (None, Some(etag), Some(size)) => Blob { etag, size },
                _ => return Err(format!("{} has no size", sibling.rfilename)),
            };
            // The hash becomes a file name, so anything else could lead out of the cache.
            if !matches!(blob.etag.len(), 40 | 64) || !is_hexadecimal(&blob.etag) {
                return Err(format!(
                    "{} has the hash {:?}",
                    sibling.rfilename, blob.etag
                ));
            }
            files.insert(sibling.rfilename, blob);
        }
        Ok(Self {
            commit: info.sha,
            files,
        })
    }

    /// The files besides the weights, among them the index of the shards if there is one.
    pub(super) fn small_files(&self) -> Result<Vec<&str>, String> {
        if let Some(missing) = REQUIRED_FILES.iter().find(|name| !self.has(name)) {
            return Err(format!("it has no {missing}"));
        }
        let names = REQUIRED_FILES.iter().chain(&OPTIONAL_FILES).chain([&INDEX]);
        Ok(names.copied().filter(|name| self.has(name)).collect())
    }

    /// The files of the weights: `shards` if the repository has an index.
    pub(super) fn weight_files(&self, shards: Option<Vec<String>>) -> Result<Vec<String>, String> {
        match shards {
            Some(shards) => match shards.iter().find(|shard| !self.has(shard)) {
                Some(missing) => Err(format!("its index names {missing}, which it does not have")),
                None => Ok(shards),
            },
            None if self.has(SINGLE_FILE) => Ok(vec![SINGLE_FILE.to_owned()]),
            // Unpickling runs code in the file, so such weights are never downloaded.
            None if self.has("pytorch_model.bin") || self.has("pytorch_model.bin.index.json") => {
                Err("it has its weights as Python's pickle only, not as safetensors".to_owned())
            }
            None => Err("it has no safetensors".to_owned()),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn repo_info(names: &[&str]) -> RepoInfo {
        let siblings: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({"rfilename": name, "blobId": COMMIT, "size": 3}))
            .collect();
        let json = serde_json::json!({"sha": COMMIT, "siblings": siblings});
        RepoInfo::parse(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn pickles_and_unneeded_files_are_not_downloaded() {
        let info = repo_info(&[
            "README.md",
            "config.json",
            "tokenizer.json",
            "chat_template.jinja",
            "model.safetensors",
            "pytorch_model.bin",
            "modeling_custom.py",
        ]);
        assert_eq!(
            info.small_files().unwrap(),
            ["config.json", "tokenizer.json", "chat_template.jinja"]
        );
        assert_eq!(info.weight_files(None).unwrap(), ["model.safetensors"]);
    }

    #[test]
    fn the_error_names_what_is_missing() {
        assert_eq!(
            repo_info(&["config.json"]).small_files().unwrap_err(),
            "it has no tokenizer.json"
        );
        let pickled = repo_info(&["config.json", "pytorch_model.bin"]).weight_files(None);
        assert!(pickled.unwrap_err().contains("pickle"));
        let shards = Some(vec!["model-1.safetensors".to_owned()]);
        let error = repo_info(&["config.json"])
            .weight_files(shards)
            .unwrap_err();
        assert!(error.contains("model-1.safetensors"), "{error}");
    }

    #[test]
    fn a_hash_that_is_a_path_is_refused() {
        let json = serde_json::json!({"sha": COMMIT, "siblings": [
            {"rfilename": "config.json", "blobId": "../../../../home/user/.bashrc", "size": 3}
        ]});
        assert!(RepoInfo::parse(json.to_string().as_bytes()).is_err());
        assert!(RepoInfo::parse(b"{\"sha\": \"..\", \"siblings\": []}").is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_responses_do_not_panic(json in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = RepoInfo::parse(&json);
        }
    }
}
