//! offmodel-program
