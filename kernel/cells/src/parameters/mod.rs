//! The parameters of a notebook: variables of the cell tagged `parameters`.
//!
//! Each `let NAME: TYPE = DEFAULT;` in that cell is a parameter: a program reads its value at run
//! time and falls back to the default. The cell may also hold imports, items and values derived
//! from parameters, as in `let steps = epochs * 100;`. A literal without a type is an error, because
//! it was most likely meant as a parameter.
//!
//! Values are passed to programs as JSON. [`ParameterType::check`] and [`ParameterType::parse`]
//! reject a value of the wrong type before anything runs, so that a typing error costs no trial.

mod declaration;
mod literal;
mod parameter_type;

pub use declaration::{Parameter, ParameterError, parameters};
pub use parameter_type::{ParameterType, TypeMismatch};
