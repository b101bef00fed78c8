//! CPU time for each megabyte of an upload: `cargo bench -p flamestore-formats`.

fn main() {
    divan::main();
}
