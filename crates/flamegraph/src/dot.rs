//! Dot.
