//! The cell tagged `parameters`.
//!
//! Each `let NAME: TYPE = DEFAULT;` in it is a parameter: a program reads its value at run time
//! and falls back to the default. Imports, items and other statements may stand beside them, and
//! values derived from parameters, as in `let steps = epochs * 100;`. A literal without a type is
//! refused: it was meant as a parameter.
//!
//! Values travel as JSON. [`ParameterType::check`] and [`ParameterType::parse`] tell before
//! anything runs whether a value fits, so that a typing error costs no trial.

mod declaration;
mod kind;
mod literal;

pub use declaration::{Parameter, ParameterError, parameters};
pub use kind::{ParameterType, TypeMismatch};
