//! Blocks are open: somebody else's engine reads them.

mod duckdb;
