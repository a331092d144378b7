//! Pieces of code around a cell's statements. Their paths are those of the prelude
//! (`kernel/lab/src/live`).

/// Opens the macro call that displays the tail expression.
pub const SHOW_OPENING: &str = "::offmodel::live::show!(";

/// Closes what [`SHOW_OPENING`] opens.
pub const SHOW_CLOSING: &str = ");";

/// Binds the tail expression where its type is checked but its value is not displayed.
pub const BIND_TAIL: &str = "let __shown = ";

/// The return type of the code around a cell. `?` converts an error into `Raised`, which
/// records where in the cell that was.
pub const CELL_RESULT: &str = "::std::result::Result<(), ::offmodel::live::Raised>";

/// Opens the closure whose body is a cell: `?` and `return` leave the cell, not the program.
pub const CELL_CLOSURE: &str = "|| -> ::std::result::Result<(), ::offmodel::live::Raised> {";

/// The value of a cell that ran to its end. The type is spelled out because an `async` block does
/// not declare one.
pub const OK_OF_CELL: &str = "::std::result::Result::<(), ::offmodel::live::Raised>::Ok(())";
