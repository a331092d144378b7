//! Notebook files with a Rust kernel.

use std::path::{Path, PathBuf};

use nbformat::v4;
use offmodel_cells::parameters::{Parameter, ParameterError, parameters};
use offmodel_support::digest;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The tag of the cell that declares the notebook's parameters, as in papermill.
pub const PARAMETERS_TAG: &str = "parameters";
/// The tag of the cell in an executed notebook that shows the values of the parameters, as in
/// papermill.
pub const INJECTED_TAG: &str = "injected-parameters";
/// The tag of a cell that may fail, as in nbclient: its error is shown, and the next cell runs.
pub const RAISES_TAG: &str = "raises-exception";
/// The tags of cells that programs do not run.
const SKIP_TAGS: [&str; 2] = ["skip-execution", "skip-batch"];

/// A notebook with a Rust kernel, without its outputs.
#[derive(Debug, Clone)]
pub struct Notebook {
    /// The file.
    pub path: PathBuf,
    /// The document in format 4.5, without outputs and without cells of injected parameters.
    pub document: v4::Notebook,
    /// The code cells, in order.
    pub code_cells: Vec<CodeCell>,
}

/// A code cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeCell {
    /// The number among the code cells, from 1.
    pub number: usize,
    /// The index among all cells of the document, from 0.
    pub index: usize,
    /// The text.
    pub source: String,
    /// The tags.
    pub tags: Vec<String>,
}

/// Why a file is not a notebook that offmodel can run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotebookError {
    /// The file cannot be read.
    #[error("failed to read notebook {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The file is not JSON.
    #[error("{} is not a notebook: not JSON: {reason}", path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        reason: serde_json::Error,
    },
    /// The file is JSON, but not a notebook of a supported version.
    #[error("{} is not a notebook: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// The notebook is in another language.
    #[error(
        "{} has no Rust kernel: {found}; choose the kernel \"Rust (offmodel)\" in JupyterLab and save",
        path.display()
    )]
    NotRust {
        /// The file.
        path: PathBuf,
        /// The kernel or language that the notebook names.
        found: String,
    },
    /// The notebook has no code.
    #[error("{} has no code cells", path.display())]
    NoCode {
        /// The file.
        path: PathBuf,
    },
    /// The `parameters` cell does not parse.
    #[error("{}, cell {cell}: {reason}", path.display())]
    Unparsed {
        /// The file.
        path: PathBuf,
        /// The cell's number.
        cell: usize,
        /// The parser's message, with line and column.
        reason: offmodel_cells::ParseError,
    },
    /// A declaration in the `parameters` cell cannot be a parameter.
    #[error("{}, cell {cell}, {reason}", path.display())]
    Parameter {
        /// The file.
        path: PathBuf,
        /// The cell's number.
        cell: usize,
        /// The reason, with the line.
        reason: ParameterError,
    },
}

impl Notebook {
    /// Reads a notebook.
    ///
    /// # Errors
    /// When the file is not a notebook with a Rust kernel and at least one code cell.
    pub fn read(path: &Path) -> Result<Self, NotebookError> {
        let bytes = std::fs::read(path).map_err(|source| NotebookError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::from_bytes(path, &bytes)
    }

    /// Reads a notebook from memory; `path` is for messages.
    ///
    /// # Errors
    /// As [`Notebook::read`].
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self, NotebookError> {
        let path = path.to_owned();
        let mut value: Value =
            serde_json::from_slice(bytes).map_err(|reason| NotebookError::NotJson {
                path: path.clone(),
                reason,
            })?;
        remove_results(&mut value);
        let document = parse_document(&value).map_err(|reason| NotebookError::Malformed {
            path: path.clone(),
            reason,
        })?;
        if let Some(found) = other_language(&document.metadata) {
            return Err(NotebookError::NotRust { path, found });
        }
        let code_cells = code_cells(&document);
        if code_cells.is_empty() {
            return Err(NotebookError::NoCode { path });
        }
        Ok(Self {
            path,
            document,
            code_cells,
        })
    }

    /// The notebook's folder, which is the working directory of its cells as in Jupyter.
    pub fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    /// The code cells that a program runs.
    pub fn executed_cells(&self) -> impl Iterator<Item = &CodeCell> {
        self.code_cells.iter().filter(|cell| !cell.is_skipped())
    }

    /// The parameters that the notebook declares, in order; empty without a `parameters` cell.
    ///
    /// # Errors
    /// When that cell does not parse, or declares what cannot be a parameter.
    pub fn parameters(&self) -> Result<Vec<Parameter>, NotebookError> {
        let mut found = Vec::new();
        for code_cell in self
            .executed_cells()
            .filter(|cell| cell.has_tag(PARAMETERS_TAG))
        {
            let cell = offmodel_cells::parse(&code_cell.source).map_err(|reason| {
                NotebookError::Unparsed {
                    path: self.path.clone(),
                    cell: code_cell.number,
                    reason,
                }
            })?;
            found.extend(
                parameters(&cell).map_err(|reason| NotebookError::Parameter {
                    path: self.path.clone(),
                    cell: code_cell.number,
                    reason,
                })?,
            );
        }
        Ok(found)
    }

    /// A hash of the text of the executed cells. Prose, outputs and skipped cells do not count.
    ///
    /// The names of trials depend on it, so its definition must not change.
    pub fn code_hash(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"offmodel notebook code 1");
        for cell in self.executed_cells() {
            hash.update((cell.source.len() as u64).to_le_bytes());
            hash.update(cell.source.as_bytes());
            // One byte for both tags keeps the hash of notebooks from before `raises-exception`.
            hash.update(
                [u8::from(cell.has_tag(PARAMETERS_TAG)) | (u8::from(cell.may_fail()) << 1)],
            );
        }
        digest::hexadecimal(hash)
    }
}

impl CodeCell {
    /// Whether the cell has a tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// Whether the notebook continues when the cell fails. Never for the `parameters` cell, because
    /// other cells need its variables.
    pub fn may_fail(&self) -> bool {
        self.has_tag(RAISES_TAG) && !self.has_tag(PARAMETERS_TAG)
    }

    /// Whether programs skip the cell.
    pub fn is_skipped(&self) -> bool {
        SKIP_TAGS.iter().any(|tag| self.has_tag(tag))
    }
}

/// Removes the results of an earlier execution: outputs, and cells with injected parameters.
fn remove_results(notebook: &mut Value) {
    let Some(cells) = notebook.get_mut("cells").and_then(Value::as_array_mut) else {
        return;
    };
    cells.retain(|cell| {
        let tags = cell.pointer("/metadata/tags").and_then(Value::as_array);
        !tags.is_some_and(|tags| tags.iter().any(|tag| tag == INJECTED_TAG))
    });
    for cell in cells.iter_mut().filter_map(Value::as_object_mut) {
        if cell.get("cell_type").is_some_and(|kind| kind == "code") {
            cell.insert("outputs".to_owned(), Value::Array(Vec::new()));
            cell.insert("execution_count".to_owned(), Value::Null);
        }
    }
}

fn parse_document(value: &Value) -> Result<v4::Notebook, String> {
    if !value.get("cells").is_some_and(Value::is_array) && value.get("worksheets").is_none() {
        return Err("it has no list of cells".to_owned());
    }
    match nbformat::parse_notebook(&value.to_string()) {
        Ok(nbformat::Notebook::V4(notebook)) => Ok(notebook),
        Ok(nbformat::Notebook::V4QuirksMode(quirks)) => Ok(quirks.repair()),
        Ok(nbformat::Notebook::Legacy(old)) => {
            nbformat::upgrade_legacy_notebook(old).map_err(|error| error.to_string())
        }
        Ok(_) => {
            Err("its format is older than version 4; open and save it in JupyterLab".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The kernel or language of a notebook that is not in Rust, as the end of a sentence.
fn other_language(metadata: &v4::Metadata) -> Option<String> {
    let language = metadata
        .language_info
        .as_ref()
        .map(|info| info.name.as_str());
    let Some(kernel) = &metadata.kernelspec else {
        return match language {
            Some(language) if language.eq_ignore_ascii_case("rust") => None,
            Some(language) => Some(format!("its language is {language}")),
            None => Some("it names no kernel".to_owned()),
        };
    };
    let language = kernel.language.as_deref().or(language).unwrap_or_default();
    if language.eq_ignore_ascii_case("rust") || kernel.name == "offmodel" {
        return None;
    }
    Some(if language.is_empty() {
        format!("its kernel is {}", kernel.name)
    } else {
        format!("its kernel is {} ({language})", kernel.name)
    })
}

fn code_cells(document: &v4::Notebook) -> Vec<CodeCell> {
    document
        .cells
        .iter()
        .enumerate()
        .filter_map(|(index, cell)| match cell {
            v4::Cell::Code {
                metadata, source, ..
            } => Some((index, metadata, source)),
            _ => None,
        })
        .enumerate()
        .map(|(position, (index, metadata, source))| CodeCell {
            number: position + 1,
            index,
            source: source.concat(),
            tags: metadata.tags.clone().unwrap_or_default(),
        })
        .collect()
}
