//! The front end's side of a running cell.

use offmodel_events::Event;

/// Receives the events of a running cell and provides input for it.
///
/// A closure that takes events is a listener without input.
pub trait Listener {
    /// Receives an event.
    fn event(&mut self, event: Event);

    /// Asks the user for a line of input. With `password`, the front end must not echo it.
    ///
    /// # Errors
    /// Why there is no input, in words for the user.
    fn input(&mut self, prompt: &str, password: bool) -> Result<String, String>;
}

impl<F: FnMut(Event)> Listener for F {
    fn event(&mut self, event: Event) {
        self(event);
    }

    fn input(&mut self, _prompt: &str, _password: bool) -> Result<String, String> {
        Err("no front end is connected".to_owned())
    }
}
