//! The cell tagged `parameters`.
