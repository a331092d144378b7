//! The runtime of compiled notebooks.
