//! Runtime overrides while the server runs: what is reloaded, what a bad file does, and the pages that show it.

use std::fs;
use std::path::Path;
use std::process::Command;

use flamestore_tests::server::binary;
use flamestore_tests::{Server, until};
use serde_json::Value;

const GOOD: &str = "overrides:\n  one:\n    max_label_names_per_series: 7\n    reject_older_than: 2h\n";
const BETTER: &str = "overrides:\n  two:\n    max_label_names_per_series: 9\n";
/// One unknown key: nothing of the file is taken.
const BAD: &str = "overrides:\n  two:\n    max_label_names_per_series: 11\n    max_lable_name_length: 5\n";

fn write(path: &Path, text: &str) {
    // Put in place at once, as a mounted volume does it.
    let new = path.with_extension("new");
    fs::write(&new, text).expect("a file");
    fs::rename(&new, path).expect("a file in its place");
}

fn metric(server: &Server, line: &str) -> Option<f64> {
    let metrics = server.client().get("/metrics").expect("metrics");
    let found = metrics.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' '))?;
    found.parse().ok()
}

fn until_so(what: &str, holds: impl Fn() -> bool) {
    until(what, || holds().then_some(()).ok_or_else(String::new));
}

fn names_per_series(server: &Server, tenant: &str) -> u64 {
    let answer = server.client().tenant(tenant).get("/api/v1/tenant_limits").expect("limits");
    let limits: Value = serde_json::from_str(&answer).expect("JSON");
    limits["max_label_names_per_series"].as_u64().expect("a number")
}

#[test]
fn overrides_are_reloaded_and_a_bad_file_keeps_the_last_good_one_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runtime.yaml");
    write(&path, GOOD);
    let file = format!("-runtime-config.file={}", path.display());
    let server = Server::start(&["-auth.multitenancy-enabled=true", "-runtime-config.reload-period=100ms", &file]);

    let good = "runtime_config_last_reload_successful";
    let overridden = |tenant: &str, limit: &str| {
        metric(&server, &format!("pyroscope_limits_overrides{{limit_name=\"{limit}\",tenant=\"{tenant}\"}}"))
    };
    assert_eq!(metric(&server, good), Some(1.0));
    assert_eq!(overridden("one", "max_label_names_per_series"), Some(7.0));
    assert_eq!(overridden("one", "reject_older_than"), Some(7200.0));
    assert_eq!(overridden("one", "max_label_name_length"), None, "only what differs");
    assert_eq!(metric(&server, "pyroscope_limits_defaults{limit_name=\"max_label_names_per_series\"}"), Some(30.0));
    assert_eq!((names_per_series(&server, "one"), names_per_series(&server, "two")), (7, 30));
    let hash = || {
        let metrics = server.client().get("/metrics").unwrap();
        let lines: Vec<_> =
            metrics.lines().filter(|l| l.starts_with("runtime_config_hash{")).map(str::to_owned).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].clone()
    };
    let first = hash();

    let all = server.client().get("/runtime_config").unwrap();
    assert!(all.contains("max_label_names_per_series: 7") && all.contains("max_label_name_length: 1024"), "{all}");
    let diff = server.client().get("/runtime_config?mode=diff").unwrap();
    assert!(diff.contains("max_label_names_per_series: 7") && !diff.contains("max_label_name_length"), "{diff}");

    write(&path, BETTER);
    until_so("the new file", || names_per_series(&server, "two") == 9);
    assert_eq!(names_per_series(&server, "one"), 30, "a tenant that is no longer named has the defaults");
    // The limits are in force a moment before the metrics tell of them.
    until_so("its metrics", || overridden("one", "max_label_names_per_series").is_none());
    until_so("its hash", || hash() != first);

    write(&path, BAD);
    until_so("the failure", || metric(&server, good) == Some(0.0));
    assert_eq!(names_per_series(&server, "two"), 9);
    assert_eq!(overridden("two", "max_label_names_per_series"), Some(9.0));
    until_so("the line in the log", || server.log().contains("max_lable_name_length"));
    assert!(server.log().contains("the last good one stays in force"), "{}", server.log());

    write(&path, BETTER);
    until_so("the good file again", || metric(&server, good) == Some(1.0));
    fs::remove_file(&path).unwrap();
    until_so("the missing file", || metric(&server, good) == Some(0.0));
    assert_eq!(names_per_series(&server, "two"), 9);
}

#[test]
fn a_bad_file_stops_the_start_because_there_is_no_last_good_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runtime.yaml");
    write(&path, BAD);
    let ended = Command::new(binary())
        .args(["-server.http-listen-address=127.0.0.1", "-server.http-listen-port=0"])
        .args(["-server.grpc-listen-address=127.0.0.1", "-server.grpc-listen-port=0"])
        .arg(format!("-storage.filesystem.dir={}", dir.path().join("bucket").display()))
        .arg(format!("-pyroscopedb.data-path={}", dir.path().join("local").display()))
        .arg(format!("-runtime-config.file={}", path.display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success(), "{said}");
    for word in ["runtime.yaml:4", "tenant two", "max_lable_name_length", "max_label_name_length"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}
