//! The Go and Python SDKs: each profiles a small workload, and the test looks for its function in what arrives.
//!
//! In CI both must run. Elsewhere one whose toolchain is absent is skipped, which is said.

use std::path::{Path, PathBuf};
use std::process::Command;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::server::Server;
use serde_json::{Value, json};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("compat").join(path)
}

/// Whether the test can run; a missing toolchain is a failure in CI.
fn have(tool: &str, found: bool) -> bool {
    assert!(found || std::env::var_os("CI").is_none(), "{tool} is missing");
    if !found {
        println!("skipped: {tool} is missing");
    }
    found
}

fn runs(program: &str, args: &[&str]) -> bool {
    Command::new(program).args(args).output().is_ok_and(|o| o.status.success())
}

fn now_ms() -> i64 {
    SystemClock::default().now_nanos() / 1_000_000
}

fn profile_types(server: &Server) -> Vec<String> {
    let now = now_ms();
    let answer = server
        .client()
        .call("querier.v1.QuerierService/ProfileTypes", &json!({"start": now - 3_600_000, "end": now + 60_000}));
    answer["profileTypes"].as_array().into_iter().flatten().filter_map(|t| t["ID"].as_str()).map(str::to_owned).collect()
}

/// The CPU nanoseconds of stacks under `function` in the profile of `selector`.
fn total_of(server: &Server, profile_type: &str, selector: &str, function: &str) -> i64 {
    let now = now_ms();
    let answer = server.client().call(
        "querier.v1.QuerierService/SelectMergeStacktraces",
        &json!({"profileTypeID": profile_type, "labelSelector": selector, "start": now - 3_600_000, "end": now + 60_000}),
    );
    let graph = &answer["flamegraph"];
    let number = |v: &Value| v.as_str().and_then(|s| s.parse::<i64>().ok()).unwrap_or(0);
    let names: Vec<_> = graph["names"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
    let mut total = 0;
    for level in graph["levels"].as_array().expect("levels") {
        let values: Vec<i64> = level["values"].as_array().expect("values").iter().map(number).collect();
        total += values.chunks(4).filter(|n| names[n[3] as usize].contains(function)).map(|n| n[1]).sum::<i64>();
    }
    total
}

const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

#[test]
fn a_go_program_with_the_sdk_is_found_by_function_and_tag() {
    if !have("go", runs("go", &["version"])) {
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
    let spun = total_of(&server, CPU, r#"{service_name="compat.golang", phase="spin"}"#, "spinForFlamestore");
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
    let python = std::env::var("FLAMESTORE_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
    if !have("python with pyroscope-io (tests/requirements.txt)", runs(&python, &["-c", "import pyroscope"])) {
        return;
    }
    let server = Server::start(&[]);
    let ran = Command::new(&python).arg(here("python/app.py")).arg(server.client().url()).output().expect("python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let spun = total_of(&server, CPU, r#"{service_name="compat.python", phase="spin"}"#, "spin_for_flamestore");
    assert!(spun > 1_000_000_000, "13 s of spinning gave {spun} ns of CPU");
}
