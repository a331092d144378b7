//! Shows frames as HTML, as text, and in a report of one file.

mod cells;
mod html;
mod report;
mod text;

pub use cells::FrameDisplay;
pub use html::{escape_html, frame_html};
pub use report::{Report, ReportError};
pub use text::frame_text;
