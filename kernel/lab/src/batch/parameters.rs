use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

static GIVEN: OnceLock<Map<String, Value>> = OnceLock::new();

/// The value that the attempt gives for a parameter, or `default` if it gives none.
///
/// # Panics
/// When the value does not have the parameter's type. Runners check types before they start a
/// program; the panic becomes the error of the `parameters` cell.
pub fn parameter<T: DeserializeOwned>(name: &str, default: T) -> T {
    let Some(value) = GIVEN.get().and_then(|given| given.get(name)) else {
        return default;
    };
    match T::deserialize(value) {
        Ok(value) => value,
        Err(error) => panic!("parameter `{name}` cannot be {value}: {error}"),
    }
}

/// Sets the parameters of this process; later calls have no effect.
pub(super) fn install(given: Map<String, Value>) {
    let _ = GIVEN.set(given);
}
