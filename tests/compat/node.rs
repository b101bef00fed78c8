//! The Node SDK: wall clock with CPU time, and the heap.

use std::fs;
use std::process::Command;

use flamestore_tests::{Server, tools};

use super::arrived::{about, check, running};
use super::{build, built, number, sources, work};

const SELECTOR: &str = r#"{service_name="compat.nodejs", region="eu"}"#;

#[test]
fn a_node_program_arrives_with_wall_cpu_heap_and_labels() {
    if !tools::have("node", "node", &["--version"]) || !tools::have("npm", "npm", &["--version"]) {
        return;
    }
    let home = built("node");
    for file in ["package.json", "package-lock.json", "app.js"] {
        fs::copy(sources("node").join(file), home.join(file)).expect("a copy");
    }
    build(Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&home));
    let server = Server::start(&[]);
    let did = work(Command::new("node").arg("app.js").arg(server.client().url()).current_dir(&home));
    let of = |field| number(&did, field);

    let tagged = r#"{service_name="compat.nodejs", phase="spin"}"#;
    check(&server, "wall:wall:nanoseconds:wall:nanoseconds", tagged, "spinForFlamestore", running(&did));
    check(&server, "wall:cpu:nanoseconds:wall:nanoseconds", tagged, "spinForFlamestore", about(of("cpu_ns")));
    for (profile_type, expected) in [
        ("memory:inuse_space:bytes:inuse_space:bytes", of("inuse_bytes") / 2..=i64::MAX),
        ("memory:inuse_objects:count:inuse_space:bytes", of("inuse_count") / 2..=i64::MAX),
    ] {
        check(&server, profile_type, SELECTOR, "allocateForFlamestore", expected);
    }
}
