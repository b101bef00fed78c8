//! Timelines of the legacy render answer.
