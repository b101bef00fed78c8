//! An append-only log with group commit.
