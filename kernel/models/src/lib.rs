//! offmodel-models
