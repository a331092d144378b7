//! Tests that cross crates; see `tests/README.md`. The crate has no library code.
