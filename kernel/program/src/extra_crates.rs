//! The crates that a notebook asks for with `:dep` lines.

use std::path::Path;

use offmodel_toolchain::Toolchain;
use offmodel_toolchain::extra_crates::{CrateRequest, ExtraCrates};

use crate::errors::CompileError;
use crate::generate::{Content, GenerateError, parse_cells};
use crate::notebook::Notebook;

/// A `:dep` line.
struct DepLine {
    cell: usize,
    line: usize,
    request: CrateRequest,
}

/// Builds the crates of all `:dep` lines of a notebook, or finds them built. `progress` receives
/// Cargo's steps.
pub(crate) fn build_extra_crates(
    notebook: &Notebook,
    toolchain: &Toolchain,
    progress: &mut dyn FnMut(&str),
) -> Result<ExtraCrates, CompileError> {
    let lines = dep_lines(notebook)?;
    let Some(last) = lines.last() else {
        return Ok(ExtraCrates::default());
    };
    let requests: Vec<_> = lines.iter().map(|line| line.request.clone()).collect();
    toolchain
        .extra_crates(&requests, None, progress)
        .map_err(|reason| {
            // Cargo builds all crates at once, and its message most often names the one that
            // failed. If it names none, the last line is as good a guess as any.
            let message = reason.to_string();
            let is_named =
                |line: &&DepLine| message.contains(&format!("`{}`", line.request.name()));
            let failed = lines.iter().find(is_named).unwrap_or(last);
            CompileError::ExtraCrates {
                notebook: notebook.path.clone(),
                cell: failed.cell,
                line: failed.line,
                reason,
            }
        })
}

/// The `:dep` lines of a notebook, in order. Relative paths are relative to the notebook's folder.
fn dep_lines(notebook: &Notebook) -> Result<Vec<DepLine>, GenerateError> {
    let folder = notebook.path.parent().unwrap_or(Path::new("."));
    let mut lines = Vec::new();
    for (code_cell, content) in parse_cells(notebook)? {
        let Content::Statements(cell) = content else {
            continue;
        };
        for command in cell.commands.iter().filter(|command| command.name == "dep") {
            let request = CrateRequest::parse(&command.arguments, folder).map_err(|reason| {
                GenerateError::Dependency {
                    notebook: notebook.path.clone(),
                    cell: code_cell.number,
                    line: command.line,
                    reason,
                }
            })?;
            lines.push(DepLine {
                cell: code_cell.number,
                line: command.line,
                request,
            });
        }
    }
    Ok(lines)
}
