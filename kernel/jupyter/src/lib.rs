//! offmodel-jupyter
