//! Downloads models from the Hugging Face hub into the cache of Python's `huggingface_hub`.
//!
//! Only the files that a model is loaded from are downloaded: configuration, tokenizer, chat template
//! and safetensors. A file appears in the cache once it is complete and verified; an interrupted
//! download is resumed from its `.incomplete` file.
//!
//! | module | purpose |
//! |---|---|
//! | [`settings`] | endpoint, cache folder and token, from the environment |
//! | [`cache`] | the layout of the cache: blobs, snapshots, refs |
//! | [`repo_info`] | the files of a repository, and which of them are needed |
//! | [`client`] | downloads one file over HTTP |
//! | [`snapshot_download`] | downloads all files of a model |

mod cache;
mod client;
mod repo_info;
mod settings;
mod snapshot_download;
#[cfg(test)]
mod tests;

pub(crate) use cache::{Repo, shard_names};
pub(crate) use settings::HubSettings;
pub(crate) use snapshot_download::snapshot_download;
