//! Lines for the person at the terminal.
//!
//! `println!` panics when nobody reads any more: a closed terminal, or `| head`, would end a sweep.
//! These macros drop the line instead.

/// Writes a line of the command's result to standard output.
macro_rules! outln {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($argument)*);
    }};
}

/// Writes a line about the work to standard error.
macro_rules! errln {
    ($($argument:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($argument)*);
    }};
}

pub(crate) use {errln, outln};
