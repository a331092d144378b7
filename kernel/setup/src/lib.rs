//! offmodel-setup
