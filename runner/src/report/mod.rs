//! Results and executed notebooks as one HTML page with nothing to fetch.
//!
//! Everything that a notebook says is hostile until escaped: text is escaped, pictures are
//! embedded as images, in which no script runs, and of HTML only the tables of our own frames
//! are taken. A content security policy forbids the rest.

mod markdown;
mod notebook;
mod page;

pub use notebook::{Block, ReportedNotebook};
pub use page::{Comparison, Page, Standings};

use notebook::svg_address;
