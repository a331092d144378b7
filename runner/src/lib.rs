//! offmodel-runner
