//! Who listens to a running cell.

use offmodel_events::Event;

/// Hears what a cell shows, and answers what it asks. A closure that takes events is one that
/// has no answers.
pub trait Listener {
    /// Takes what the cell shows.
    fn event(&mut self, event: Event);

    /// Answers a question; a password is not to be shown while it is typed.
    ///
    /// # Errors
    /// Why there is no answer, in words for the user.
    fn input(&mut self, prompt: &str, password: bool) -> Result<String, String>;
}

impl<F: FnMut(Event)> Listener for F {
    fn event(&mut self, event: Event) {
        self(event);
    }

    fn input(&mut self, _prompt: &str, _password: bool) -> Result<String, String> {
        Err("there is nobody to ask".to_owned())
    }
}
