//! Boxes in which closures are stored for later cells.
//!
//! The type of a closure has no name, so no later cell could declare what it takes out of the store.
//! A box has one, `Box<dyn Fn(f64) -> f64>`, if the signature is known. For that the probe calls
//! `offmodel::live::closure::signature_1` (for one parameter), whose return type spells the
//! signature.
//!
//! Whether the closure is `Fn`, `FnMut` or `FnOnce`, and whether threads may share it, rustc reports
//! only in code without other errors. So the cell is compiled with the most capable box first, and
//! errors [relax](ClosureBox::relax) it.

use std::fmt;

use super::diagnostics::Diagnostic;
use super::type_names::with_default_numbers;

/// The most parameters of a closure that can be stored: `signature_6` is the last of the functions in
/// `offmodel::live::closure`.
pub(super) const MAX_PARAMETERS: usize = 6;

/// The box of a closure. `Display` writes its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClosureBox {
    /// `(f64) -> f64`
    signature: String,
    call_trait: CallTrait,
    /// Whether the box requires `Send` and `Sync`.
    is_shareable: bool,
}

/// The trait by which a closure is called, the most capable first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum CallTrait {
    Fn,
    FnMut,
    FnOnce,
}

/// The expression whose type spells the signature of the closure `name`.
pub(super) fn signature_expression(name: &str, parameters: usize) -> String {
    format!("::offmodel::live::closure::signature_{parameters}(&{name})")
}

impl ClosureBox {
    /// The most capable box for a closure. `probed` is the type of its [`signature_expression`], none
    /// if rustc could not infer it.
    ///
    /// # Errors
    /// Why the closure cannot be stored.
    pub(super) fn from_signature(probed: Option<&str>) -> Result<Self, String> {
        let signature = probed.and_then(|type_name| {
            type_name
                .strip_prefix("std::marker::PhantomData<fn")?
                .strip_suffix('>')
        });
        let Some(signature) = signature.map(with_default_numbers) else {
            return Err(
                "the types of its parameters and result could not be determined; declare them, as \
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
            call_trait: CallTrait::Fn,
            is_shareable: true,
        })
    }

    /// Lowers what the box requires of the closure to what an error of rustc says that it can do.
    /// Returns whether that changed anything. The box never becomes more capable again.
    pub(super) fn relax(&mut self, error: &Diagnostic) -> bool {
        let before = self.clone();
        if error.code() == Some("E0525") {
            let required = if error.message.contains("only implements `FnOnce`") {
                CallTrait::FnOnce
            } else {
                CallTrait::FnMut
            };
            self.call_trait = self.call_trait.max(required);
        } else if error.message.contains("between threads safely") {
            self.is_shareable = false;
        }
        *self != before
    }
}

impl fmt::Display for ClosureBox {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        let Self {
            signature,
            call_trait,
            is_shareable,
        } = self;
        let bounds = if *is_shareable { " + Send + Sync" } else { "" };
        write!(
            formatter,
            "std::boxed::Box<dyn {call_trait:?}{signature}{bounds}>"
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
        let probed = "std::marker::PhantomData<fn(&offmodel::prelude::DataFrame, i64) -> {float}>";
        let mut closure = ClosureBox::from_signature(Some(probed)).unwrap();
        assert_eq!(
            closure.to_string(),
            "std::boxed::Box<dyn Fn(&offmodel::prelude::DataFrame, i64) -> f64 + Send + Sync>"
        );
        let not_sync = error("E0277", "`Rc<i32>` cannot be sent between threads safely");
        assert!(closure.relax(&not_sync) && !closure.relax(&not_sync));
        let changes_state = error(
            "E0525",
            "expected a closure that implements the `Fn` trait, but this closure only implements `FnMut`",
        );
        assert!(closure.relax(&changes_state));
        assert_eq!(
            closure.to_string(),
            "std::boxed::Box<dyn FnMut(&offmodel::prelude::DataFrame, i64) -> f64>"
        );
        assert!(!closure.relax(&error("E0308", "mismatched types")));
    }

    #[test]
    fn a_closure_that_returns_a_closure_is_refused() {
        let probed = "std::marker::PhantomData<fn(i32) -> {closure@src/lib.rs:1:2}>";
        let refused = ClosureBox::from_signature(Some(probed)).unwrap_err();
        assert!(refused.contains("without a name"), "{refused}");
        assert!(ClosureBox::from_signature(None).is_err());
    }
}
