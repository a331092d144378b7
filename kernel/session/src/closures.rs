//! How closures are kept for later cells: in a box, whose type has a name.
//!
//! A closure's own type has none, so that no later cell could say what it takes out of the
//! store. Its signature can be asked for, though: `offmodel::live::closure::signature_1` takes a
//! closure of one parameter and gives a type that spells its signature, which the compiler's
//! error then tells. Whether the closure is `Fn`, `FnMut` or `FnOnce`, and whether threads may
//! share it, the compiler only tells where it has no other error: the cell is compiled for the
//! most capable box first.

use std::fmt;

use crate::diagnostics::Diagnostic;
use crate::type_names::with_default_numbers;

/// Closures with more parameters are not kept.
pub(crate) const MOST_PARAMETERS: usize = 6;

/// The box of a closure, displayed as its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClosureBox {
    /// `(f64) -> f64`
    signature: String,
    call: Call,
    /// `Send` and `Sync`.
    shareable: bool,
}

/// How a closure may be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Fn,
    FnMut,
    FnOnce,
}

/// The expression whose type spells the signature of the closure `name`.
pub(crate) fn question(name: &str, parameters: usize) -> String {
    format!("::offmodel::live::closure::signature_{parameters}(&{name})")
}

impl ClosureBox {
    /// The most capable box for a closure, from the answer to its [`question`].
    ///
    /// # Errors
    /// Why there is none.
    pub fn from_answer(told: Option<&str>) -> Result<Self, String> {
        let signature = told.and_then(|told| {
            told.strip_prefix("std::marker::PhantomData<fn")?
                .strip_suffix('>')
        });
        let Some(signature) = signature.map(with_default_numbers) else {
            return Err(
                "the types that it takes and gives could not be found out; write them down, as \
                 in `|x: f64| -> f64 { ... }`"
                    .to_owned(),
            );
        };
        if signature.contains('{') || signature.contains("impl ") {
            return Err(format!(
                "its type, `fn{signature}`, has parts without a name"
            ));
        }
        Ok(Self {
            signature,
            call: Call::Fn,
            shareable: true,
        })
    }

    /// Asks less of the closure, as an error of the compiler says; false if it says nothing of
    /// that kind.
    pub fn relax(&mut self, error: &Diagnostic) -> bool {
        let before = self.clone();
        if error.code() == Some("E0525") {
            self.call = if error.message.contains("only implements `FnOnce`") {
                Call::FnOnce
            } else {
                Call::FnMut
            };
        } else if error.message.contains("between threads safely") {
            self.shareable = false;
        }
        *self != before
    }
}

impl fmt::Display for ClosureBox {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            signature, call, ..
        } = self;
        let shared = if self.shareable { " + Send + Sync" } else { "" };
        write!(
            formatter,
            "std::boxed::Box<dyn {call:?}{signature}{shared}>"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: &str, message: &str) -> Diagnostic {
        serde_json::from_value(serde_json::json!({
            "message": message, "code": { "code": code }, "level": "error", "spans": [],
            "children": [], "rendered": null,
        }))
        .unwrap()
    }

    #[test]
    fn the_box_of_a_closure_is_as_capable_as_the_closure() {
        let told = "std::marker::PhantomData<fn(&offmodel::prelude::DataFrame, i64) -> {float}>";
        let mut closure = ClosureBox::from_answer(Some(told)).unwrap();
        assert_eq!(
            closure.to_string(),
            "std::boxed::Box<dyn Fn(&offmodel::prelude::DataFrame, i64) -> f64 + Send + Sync>"
        );
        let shared = error("E0277", "`Rc<i32>` cannot be sent between threads safely");
        assert!(closure.relax(&shared) && !closure.relax(&shared));
        let called = error(
            "E0525",
            "expected a closure that implements the `Fn` trait, but this closure only implements `FnMut`",
        );
        assert!(closure.relax(&called));
        assert_eq!(
            closure.to_string(),
            "std::boxed::Box<dyn FnMut(&offmodel::prelude::DataFrame, i64) -> f64>"
        );
        assert!(!closure.relax(&error("E0308", "mismatched types")));
    }

    #[test]
    fn a_closure_that_gives_a_closure_is_refused() {
        let told = "std::marker::PhantomData<fn(i32) -> {closure@src/lib.rs:1:2}>";
        let refused = ClosureBox::from_answer(Some(told)).unwrap_err();
        assert!(refused.contains("without a name"), "{refused}");
        assert!(ClosureBox::from_answer(None).is_err());
    }
}
