//! Prints lines that may be lost.
//!
//! `println!` panics once the reader is gone, so a closed terminal, or `| head`, would end a sweep.
//! These macros drop the line instead.

/// Prints a line of the command's result to standard output.
macro_rules! outln {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($argument)*);
    }};
}

/// Prints a line about the command's progress to standard error.
macro_rules! errln {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($argument)*);
    }};
}

pub(crate) use {errln, outln};
