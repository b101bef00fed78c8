//! Merged stack trees: flame graphs, diffs, trees, DOT and pprof, truncated once.
