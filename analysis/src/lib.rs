//! offmodel-analysis
