//! What a repository has, and what of it a model is loaded from.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::snapshot::{is_commit, is_hexadecimal};

/// Files beside the weights: those that must be there, then those that may be.
const NEEDED: [&str; 2] = ["config.json", "tokenizer.json"];
const WANTED: [&str; 3] = [
    "tokenizer_config.json",
    "generation_config.json",
    "chat_template.jinja",
];
pub(super) const INDEX: &str = "model.safetensors.index.json";
const SINGLE: &str = "model.safetensors";

/// The files of a repository at a commit.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: BTreeMap<String, Blob>,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blob {
    /// Its name in the cache: the SHA-256 of a large file, git's SHA-1 of a small one.
    pub(super) name: String,
    pub(super) size: u64,
}

/// The answer of `/api/models/NAME/revision/REVISION?blobs=true`.
#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    blob_id: Option<String>,
    size: Option<u64>,
    lfs: Option<LargeFile>,
}

#[derive(Deserialize)]
struct LargeFile {
    sha256: String,
    size: u64,
}

impl Listing {
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        let answer: Answer = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if !is_commit(&answer.sha) {
            return Err(format!("the commit is {:?}", answer.sha));
        }
        let mut files = BTreeMap::new();
        for sibling in answer.siblings {
            let blob = match (sibling.lfs, sibling.blob_id, sibling.size) {
                (Some(large), _, _) => Blob {
                    name: large.sha256,
                    size: large.size,
                },
                (None, Some(name), Some(size)) => Blob { name, size },
                _ => return Err(format!("{} has no size", sibling.rfilename)),
            };
            // The name becomes that of a file.
            if !matches!(blob.name.len(), 40 | 64) || !is_hexadecimal(&blob.name) {
                return Err(format!(
                    "{} has the hash {:?}",
                    sibling.rfilename, blob.name
                ));
            }
            files.insert(sibling.rfilename, blob);
        }
        Ok(Self {
            commit: answer.sha,
            files,
        })
    }

    /// What to fetch before weights: small files, the index of the shards among them.
    pub(super) fn small(&self) -> Result<Vec<&str>, String> {
        if let Some(missing) = NEEDED.iter().find(|name| !self.has(name)) {
            return Err(format!("it has no {missing}"));
        }
        let wanted = NEEDED.iter().chain(&WANTED).chain([&INDEX]);
        Ok(wanted.copied().filter(|name| self.has(name)).collect())
    }

    /// The files of weights: the shards, if there is an index.
    pub(super) fn weights(&self, shards: Option<Vec<String>>) -> Result<Vec<String>, String> {
        match shards {
            Some(shards) => match shards.iter().find(|shard| !self.has(shard)) {
                Some(missing) => Err(format!("its index names {missing}, which it does not have")),
                None => Ok(shards),
            },
            None if self.has(SINGLE) => Ok(vec![SINGLE.to_owned()]),
            // Reading one would run the code in it.
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

    fn listing(names: &[&str]) -> Listing {
        let siblings: Vec<_> = names
            .iter()
            .map(|name| serde_json::json!({"rfilename": name, "blobId": COMMIT, "size": 3}))
            .collect();
        let json = serde_json::json!({"sha": COMMIT, "siblings": siblings});
        Listing::parse(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn pickles_and_strangers_are_never_asked_for() {
        let listing = listing(&[
            "README.md",
            "config.json",
            "tokenizer.json",
            "chat_template.jinja",
            "model.safetensors",
            "pytorch_model.bin",
            "modeling_custom.py",
        ]);
        assert_eq!(
            listing.small().unwrap(),
            ["config.json", "tokenizer.json", "chat_template.jinja"]
        );
        assert_eq!(listing.weights(None).unwrap(), ["model.safetensors"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            listing(&["config.json"]).small().unwrap_err(),
            "it has no tokenizer.json"
        );
        let pickled = listing(&["config.json", "pytorch_model.bin"]).weights(None);
        assert!(pickled.unwrap_err().contains("pickle"));
        let shards = Some(vec!["model-1.safetensors".to_owned()]);
        let error = listing(&["config.json"]).weights(shards).unwrap_err();
        assert!(error.contains("model-1.safetensors"), "{error}");
    }

    #[test]
    fn a_hash_that_is_a_path_is_refused() {
        let json = serde_json::json!({"sha": COMMIT, "siblings": [
            {"rfilename": "config.json", "blobId": "../../../../home/user/.bashrc", "size": 3}
        ]});
        assert!(Listing::parse(json.to_string().as_bytes()).is_err());
        assert!(Listing::parse(b"{\"sha\": \"..\", \"siblings\": []}").is_err());
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(json in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Listing::parse(&json);
        }
    }
}
