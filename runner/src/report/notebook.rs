use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jupyter_protocol::media::{Media, MediaType};
use nbformat::v4;

use crate::error::RunnerError;

/// How the HTML of our own frames begins.
const FRAME: &str = "<table class=\"dataframe\"";

/// What a report shows of an executed notebook: its prose, figures and tables, in order.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportedNotebook {
    /// The heading over it.
    pub heading: String,
    /// Its content.
    pub blocks: Vec<Block>,
}

/// One thing to show.
#[derive(Debug, Clone, PartialEq)]
pub enum Block {
    /// A Markdown cell's text.
    Markdown(String),
    /// A picture, as the address of an image.
    Picture(String),
    /// A frame, as HTML that the kernel wrote.
    Table(String),
    /// The displayed value of a cell, as text.
    Text(String),
}

impl ReportedNotebook {
    /// Reads an executed notebook.
    ///
    /// # Errors
    /// When it is not a notebook.
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

    /// Only pictures and tables, for notebooks that share their prose with another one.
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

/// A picture as the address of an image, in which no script runs.
pub(super) fn svg_address(svg: &str) -> String {
    format!("data:image/svg+xml;base64,{}", STANDARD.encode(svg))
}

fn richest(media: &Media) -> Option<Block> {
    let find = |wanted: fn(&MediaType) -> Option<Block>| media.content.iter().find_map(wanted);
    find(|media| match media {
        MediaType::Svg(svg) => Some(Block::Picture(svg_address(svg))),
        _ => None,
    })
    .or_else(|| {
        find(|media| match media {
            // Decoded and encoded again: what is no base64 does not reach the page.
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
            MediaType::Html(html) if html.contains(FRAME) => Some(Block::Table(html.clone())),
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
