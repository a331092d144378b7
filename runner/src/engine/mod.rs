//! The engine of a sweep: which attempt runs when, and how the sweep ends.
//!
//! - [`core`] decides: a state machine without effects, from [`Event`] to [`Action`];
//! - [`dispatcher`] puts everything that happens into one linear order of events, hands them to the
//!   core, and carries out the actions;
//! - [`cancel_requests`] finds requests to cancel single trials.

mod cancel_requests;
mod core;
mod dispatcher;

pub use self::core::{Action, Core, Event, Summary};
pub use cancel_requests::CancelRequests;
pub use dispatcher::{Inputs, dispatch};
