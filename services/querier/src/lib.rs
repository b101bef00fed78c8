//! Answers queries from every reader, each profile once.
