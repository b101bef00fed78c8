//! Test data and servers for tests of other crates.
