//! The Go and Python SDKs: each profiles a small workload, and the test looks for its function in what arrives.

use std::path::{Path, PathBuf};
use std::process::Command;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::client::CPU;
use flamestore_tests::{Server, tools};
use serde_json::json;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat").join(path)
}

fn now_ms() -> i64 {
    SystemClock::default().now_nanos() / 1_000_000
}

fn profile_types(server: &Server) -> Vec<String> {
    let now = now_ms();
    let answer = server
        .client()
        .call("querier.v1.QuerierService/ProfileTypes", &json!({"start": now - 3_600_000, "end": now + 60_000}));
    answer["profileTypes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|t| t["ID"].as_str())
        .map(str::to_owned)
        .collect()
}

/// CPU nanoseconds under functions whose name contains `function`.
fn cpu_of(server: &Server, selector: &str, function: &str) -> i64 {
    let now = now_ms() / 1000;
    let flame = server.client().cpu(selector, now - 3600, now + 60);
    flame.totals.iter().filter(|(name, _)| name.contains(function)).map(|(_, total)| total).sum()
}

#[test]
fn a_go_program_with_the_sdk_is_found_by_function_and_tag() {
    if !tools::have("go", "go", &["version"]) {
        return;
    }
    let server = Server::start(&[]);
    let built = tempfile::tempdir().expect("a directory");
    let program = built.path().join("compat");
    let build = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(here("go"))
        .status()
        .expect("go runs");
    assert!(build.success(), "go build");
    let ran = Command::new(&program).arg(server.client().url()).output().expect("the program runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let spun = cpu_of(&server, r#"{service_name="compat.golang", phase="spin"}"#, "spinForFlamestore");
    assert!(spun > 1_000_000_000, "5 s of spinning gave {spun} ns of CPU");
    let types = profile_types(&server);
    for wanted in [
        CPU,
        "memory:alloc_space:bytes:space:bytes",
        "memory:inuse_objects:count:space:bytes",
        "goroutines:goroutine:count:goroutine:count",
    ] {
        assert!(types.iter().any(|t| t == wanted), "{wanted} is not among {types:?}");
    }
}

#[test]
fn a_python_program_with_the_sdk_is_found_by_function_and_tag() {
    if !tools::python_has("pyroscope") {
        return;
    }
    let server = Server::start(&[]);
    let ran = Command::new(tools::python())
        .arg(here("python/app.py"))
        .arg(server.client().url())
        .output()
        .expect("python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let spun = cpu_of(&server, r#"{service_name="compat.python", phase="spin"}"#, "spin_for_flamestore");
    assert!(spun > 1_000_000_000, "13 s of spinning gave {spun} ns of CPU");
}
