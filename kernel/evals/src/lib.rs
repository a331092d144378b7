//! offmodel-evals
