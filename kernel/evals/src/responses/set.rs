use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;

use offmodel_models::Chat;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::error::ResponseSetError;
use super::reader::ResponseReader;
use super::record::ResponseRecord;
use crate::atomic_file::write_atomically;

/// Responses to chat prompts, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseSet {
    /// The records, in the order of the file.
    pub records: Vec<ResponseRecord>,
}

impl ResponseSet {
    /// A set of the given records.
    pub fn new(records: Vec<ResponseRecord>) -> Self {
        Self { records }
    }

    /// Reads a file of JSON lines, plain or gzip, each an object with at least `prompt`,
    /// `response` and `source`.
    ///
    /// # Errors
    /// Names the file and the line: a file that cannot be read or is empty; a line that is
    /// empty, no JSON object, over [`MAXIMUM_LINE_BYTES`](super::MAXIMUM_LINE_BYTES), or lacks a
    /// field.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ResponseSetError> {
        Ok(Self {
            records: ResponseReader::open(path)?.collect::<Result<_, _>>()?,
        })
    }

    /// Writes the set as JSON lines; a reader sees the old file or the whole new one.
    ///
    /// # Errors
    /// When the file cannot be written; what was there before is then untouched.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ResponseSetError> {
        let path = path.as_ref();
        write_atomically(path, |file| {
            for record in &self.records {
                writeln!(file, "{}", record.to_line())?;
            }
            Ok(())
        })
        .map_err(|source| ResponseSetError::Write {
            path: path.to_owned(),
            source,
        })
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Every record as a conversation that ends with the response.
    pub fn chats(&self) -> Vec<Chat> {
        self.records.iter().map(ResponseRecord::chat).collect()
    }

    /// The prompts.
    pub fn prompts(&self) -> Vec<String> {
        self.records
            .iter()
            .map(|record| record.prompt.clone())
            .collect()
    }

    /// The responses.
    pub fn responses(&self) -> Vec<String> {
        self.records
            .iter()
            .map(|record| record.response.clone())
            .collect()
    }

    /// The same records in an order that the seed decides.
    #[must_use]
    pub fn shuffled(&self, seed: u64) -> Self {
        let mut records = self.records.clone();
        records.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        Self { records }
    }

    /// The records whose prompt `other` has too, in the order of `other`: to compare responses to
    /// the same prompts. Of several records with one prompt the first is taken.
    #[must_use]
    pub fn with_prompts_of(&self, other: &Self) -> Self {
        let mut by_prompt = HashMap::new();
        for record in &self.records {
            by_prompt.entry(record.prompt.as_str()).or_insert(record);
        }
        let records = other.records.iter().filter_map(|record| {
            by_prompt
                .get(record.prompt.as_str())
                .map(|&own| own.clone())
        });
        Self {
            records: records.collect(),
        }
    }

    /// The first `count` records and the rest, for example to train on and to hold out.
    pub fn split(&self, count: usize) -> (Self, Self) {
        let (first, rest) = self.records.split_at(count.min(self.len()));
        (Self::new(first.to_vec()), Self::new(rest.to_vec()))
    }

    /// SHA-256 of the set as it is written: the identity of the data in a trial's name.
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        for record in &self.records {
            hasher.update(record.to_line());
            hasher.update(b"\n");
        }
        hasher
            .finalize()
            .iter()
            .fold(String::new(), |mut text, byte| {
                // Writing to a string does not fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

impl fmt::Display for ResponseSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let characters: usize = self
            .records
            .iter()
            .map(|record| record.response.chars().count())
            .sum();
        let mean = characters as f64 / self.len().max(1) as f64;
        write!(
            f,
            "{} responses, {mean:.0} characters each on average",
            self.len()
        )?;
        let mut sources: Vec<&str> = self
            .records
            .iter()
            .map(|record| record.source.as_str())
            .collect();
        sources.sort_unstable();
        sources.dedup();
        if !sources.is_empty() {
            write!(f, ", from {}", sources.join(", "))?;
        }
        Ok(())
    }
}
