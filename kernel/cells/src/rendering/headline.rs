/// What is wrong with a cell, and where: the one line of a message that is always shown.
pub fn headline(message: &str, line: usize, column: usize) -> String {
    format!("{message} (line {line}, column {column})")
}
