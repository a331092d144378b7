use std::sync::OnceLock;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

static GIVEN: OnceLock<Map<String, Value>> = OnceLock::new();

/// The value given for a parameter, or its default.
///
/// # Panics
/// When the value does not have the parameter's type, which runners check before they start a
/// program; the panic is reported as the error of the `parameters` cell.
pub fn parameter<T: DeserializeOwned>(name: &str, default: T) -> T {
    let Some(value) = GIVEN.get().and_then(|given| given.get(name)) else {
        return default;
    };
    match T::deserialize(value) {
        Ok(value) => value,
        Err(error) => panic!("parameter `{name}` cannot be {value}: {error}"),
    }
}

/// Sets the values of this process; later calls change nothing.
pub(super) fn install(given: Map<String, Value>) {
    let _ = GIVEN.set(given);
}
