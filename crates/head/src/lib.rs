//! The newest profiles of one service, in memory.
