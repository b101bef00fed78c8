//! Real clients against the real server: each does a little work and says how much, and the test looks for that, by
//! function and total, in what arrives.

mod arrived;
mod connect;
mod golang;
mod java;
mod node;
mod otlp;
mod python;
mod rust;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flamestore_tests::run::{fetch, run};
use serde_json::Value;

/// How long a client may run, and how long it may take to fetch and build it where nothing is there yet.
const RUN_LIMIT: Duration = Duration::from_secs(300);
const BUILD_LIMIT: Duration = Duration::from_secs(1800);

/// Where a client's sources are.
fn sources(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat").join(path)
}

/// Where a client is built: below the target directory, and kept there for the next time.
fn built(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compat").join(name);
    std::fs::create_dir_all(&dir).expect("a directory below target");
    dir
}

fn build(command: &mut Command) {
    fetch(command, BUILD_LIMIT);
}

/// Runs a client. What it did is the JSON that it writes in a line of its own.
fn work(command: &mut Command) -> Value {
    let said = run(command, RUN_LIMIT);
    let line = said.lines().rfind(|line| line.starts_with('{')).unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{command:?} said {said:?}: {e}"))
}

/// A number of what a client did.
fn number(did: &Value, field: &str) -> i64 {
    did[field].as_i64().unwrap_or_else(|| panic!("{field} is not in {did}"))
}

/// Builds a Go program in a folder of `tests/compat`, with an other `go.mod` and a build tag where they are given.
fn go_build(folder: &str, arguments: &[&str], name: &str) -> PathBuf {
    let program = built("go").join(name);
    let mut command = Command::new("go");
    build(command.args(["build", "-o"]).arg(&program).args(arguments).arg(".").current_dir(sources(folder)));
    program
}
