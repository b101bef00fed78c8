//! Metrics, logs and profiles of ourselves.
