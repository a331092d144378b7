//! A sweep's results and executed notebooks as one self-contained HTML page.
//!
//! Everything that comes from a notebook may have been written by a model and counts as hostile:
//! text is escaped, figures are embedded as images, in which no script runs, and of HTML only the
//! tables that offmodel itself wrote are taken. A content security policy forbids the rest.

mod comparison;
mod markdown;
mod notebook;
mod page;

pub use comparison::ComparisonSection;
pub use notebook::{Block, ReportedNotebook};
pub use page::{Page, StatusSection};

use notebook::svg_address;
