use std::collections::HashMap;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use offmodel_models::Chat;
use offmodel_support::{atomic_file, digest};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

use super::error::ResponseSetError;
use super::reader::ResponseReader;
use super::record::ResponseRecord;

/// An ordered set of responses to chat prompts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResponseSet {
    /// The records, in file order.
    pub records: Vec<ResponseRecord>,
}

impl ResponseSet {
    /// Creates a set of `records`.
    pub fn new(records: Vec<ResponseRecord>) -> Self {
        Self { records }
    }

    /// Reads a file of JSON lines, plain or gzip, each an object with at least `prompt`,
    /// `response` and `source`.
    ///
    /// # Errors
    /// If the file cannot be read or is empty, or a line is empty, is no JSON object, is longer than
    /// [`MAX_LINE_BYTES`](super::MAX_LINE_BYTES) or lacks a field. The error names file and line.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ResponseSetError> {
        Ok(Self {
            records: ResponseReader::open(path)?.collect::<Result<_, _>>()?,
        })
    }

    /// Writes the set as JSON lines, atomically.
    ///
    /// # Errors
    /// If the file cannot be written. An existing file is then unchanged.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ResponseSetError> {
        let path = path.as_ref();
        atomic_file::write_with(path, |file| {
            let mut records = self.records.iter();
            records.try_for_each(|record| writeln!(file, "{}", record.to_line()))
        })
        .map_err(|source: io::Error| ResponseSetError::Write {
            path: path.to_owned(),
            source,
        })
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether the set has no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Every record as a conversation that ends with its response.
    pub fn chats(&self) -> Vec<Chat> {
        self.records.iter().map(ResponseRecord::chat).collect()
    }

    /// The user message of every record.
    pub fn prompts(&self) -> Vec<String> {
        self.records
            .iter()
            .map(|record| record.prompt.clone())
            .collect()
    }

    /// The response of every record.
    pub fn responses(&self) -> Vec<String> {
        self.records
            .iter()
            .map(|record| record.response.clone())
            .collect()
    }

    /// The same records in a random order that depends on `seed` alone.
    #[must_use]
    pub fn shuffled(&self, seed: u64) -> Self {
        let mut records = self.records.clone();
        records.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        Self { records }
    }

    /// The records whose prompt occurs in `other`, in the order of `other`: to compare responses to
    /// the same prompts. If several records share a prompt, the first is taken.
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

    /// Splits the set after `count` records, for example into training and held-out data.
    pub fn split(&self, count: usize) -> (Self, Self) {
        let (first, rest) = self.records.split_at(count.min(self.len()));
        (Self::new(first.to_vec()), Self::new(rest.to_vec()))
    }

    /// SHA-256 of the set as it is written, in hexadecimal: identifies the data of a trial.
    pub fn sha256(&self) -> String {
        let mut hasher = Sha256::new();
        for record in &self.records {
            hasher.update(record.to_line());
            hasher.update(b"\n");
        }
        digest::hexadecimal(hasher)
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
