//! Messages about an evaluation. They come from two threads, so their order is that of arrival only.

use offmodel_events::Event;

/// A message to the session while code is evaluated.
#[derive(Debug)]
pub(super) enum Message {
    /// From the child, over the event pipe.
    Event(Event),
    /// From evcxr, once for each evaluation.
    Evcxr(EvcxrAnswer),
}

/// The end of an evaluation as evcxr reports it.
#[derive(Debug)]
pub(super) enum EvcxrAnswer {
    /// The code was compiled and run. Whether the cell failed is in its events.
    Ran,
    /// The code did not compile; rustc's rendered errors.
    CompileError(String),
    /// The child process ended while it ran the code; its exit status in words.
    ChildEnded(String),
}
