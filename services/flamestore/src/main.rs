//! All of Flamestore in one process.

fn main() {}
