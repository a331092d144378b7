//! What a report shows of an executed notebook.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jupyter_protocol::media::{Media, MediaType};
use nbformat::v4;

use crate::error::RunnerError;

/// The start of a table that offmodel wrote for a frame.
const FRAME_TABLE: &str = "<table class=\"dataframe\"";

/// The prose, figures and tables of an executed notebook, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportedNotebook {
    /// The heading above the notebook.
    pub heading: String,
    /// The content.
    pub blocks: Vec<Block>,
}

/// A part of a notebook that a report shows.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A Markdown cell's text.
    Markdown(String),
    /// A figure, as the `data:` address of an image.
    Picture(String),
    /// A frame, as HTML that offmodel wrote.
    Table(String),
    /// The displayed value of a cell, as text.
    Text(String),
}

impl ReportedNotebook {
    /// Reads an executed notebook.
    ///
    /// # Errors
    /// [`RunnerError::Read`], if it is no notebook of format 4.5.
    pub fn read(path: &Path, heading: &str) -> Result<Self, RunnerError> {
        let failed = |reason: String| RunnerError::Read {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        let document = match nbformat::parse_notebook(&text) {
            Ok(nbformat::Notebook::V4(notebook)) => notebook,
            Ok(nbformat::Notebook::V4QuirksMode(quirks)) => quirks.repair(),
            Ok(_) => return Err(failed("it is not a notebook of version 4.5".to_owned())),
            Err(error) => return Err(failed(error.to_string())),
        };
        let blocks = document.cells.iter().flat_map(blocks).collect();
        Ok(Self {
            heading: heading.to_owned(),
            blocks,
        })
    }

    /// Keeps figures and tables only, for a notebook whose prose another one shows already.
    #[must_use]
    pub fn without_prose(mut self) -> Self {
        self.blocks
            .retain(|block| matches!(block, Block::Picture(_) | Block::Table(_)));
        self
    }
}

fn blocks(cell: &v4::Cell) -> Vec<Block> {
    match cell {
        v4::Cell::Markdown { source, .. } => vec![Block::Markdown(source.concat())],
        v4::Cell::Code { outputs, .. } => outputs.iter().filter_map(shown).collect(),
        v4::Cell::Raw { .. } => Vec::new(),
    }
}

fn shown(output: &v4::Output) -> Option<Block> {
    match output {
        v4::Output::DisplayData(display) => richest(&display.data),
        v4::Output::ExecuteResult(result) => richest(&result.data),
        v4::Output::Stream { .. } | v4::Output::Error(_) => None,
    }
}

/// An SVG figure as the address of an image, in which no script runs.
pub(super) fn svg_address(svg: &str) -> String {
    format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg))
}

/// The richest representation of a displayed value that a page may contain.
fn richest(media: &Media) -> Option<Block> {
    let find = |wanted: fn(&MediaType) -> Option<Block>| media.content.iter().find_map(wanted);
    find(|media| match media {
        MediaType::Svg(svg) => Some(Block::Picture(svg_address(svg))),
        _ => None,
    })
    .or_else(|| {
        find(|media| match media {
            // Decoded and encoded again, so that only base64 reaches the page.
            MediaType::Png(base64) => {
                let bytes = STANDARD
                    .decode(base64.split_whitespace().collect::<String>())
                    .ok()?;
                Some(Block::Picture(format!(
                    "data:image/png;base64,{}",
                    STANDARD.encode(bytes)
                )))
            }
            _ => None,
        })
    })
    .or_else(|| {
        find(|media| match media {
            MediaType::Html(html) if html.contains(FRAME_TABLE) => Some(Block::Table(html.clone())),
            _ => None,
        })
    })
    .or_else(|| {
        find(|media| match media {
            MediaType::Plain(text) => Some(Block::Text(text.clone())),
            _ => None,
        })
    })
}
