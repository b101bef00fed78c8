//! Blocks are open: somebody else's engine reads them, and finds what the server answers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flamestore_tests::run::run;
use flamestore_tests::{Server, tools};
use serde_json::Value;

mod datafusion;
mod duckdb;
mod golden;
mod lived;
mod reader;
mod spark;

const LIMIT: Duration = Duration::from_secs(300);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("open_format")
}

fn document() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/block-format.md")
}

/// A script of this folder.
fn python(script: &str) -> Command {
    let mut command = Command::new(tools::python());
    command.arg(folder().join(script)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// What a script of this folder prints: one line of JSON, the last.
fn answer(command: &mut Command) -> Value {
    let said = run(command, LIMIT);
    let line = said.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {said}"))
}

/// Copies the blocks that count, as a user does; their folders.
fn exported(server: &Server, to: &Path) -> Vec<PathBuf> {
    let dir = format!("--storage.filesystem.dir={}", server.bucket().display());
    let ran = crate::flamectl::run(server, &["blocks", "export", &dir, "--to", to.to_str().expect("text")]);
    assert!(ran.text().contains(" blocks, "), "{ran:?}");
    std::fs::read_dir(to).expect("the copy").map(|entry| entry.expect("a folder").path()).collect()
}
