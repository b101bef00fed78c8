//! The store of one process: log, heads, flush, blocks, and exact answers over all of them.
