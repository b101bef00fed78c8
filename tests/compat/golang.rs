//! The Go SDK, all its profile types.

use std::process::Command;

use flamestore_tests::client::CPU;
use flamestore_tests::{Server, tools};

use super::arrived::{about, check, flame};
use super::{go_build, number, work};

const SELECTOR: &str = r#"{service_name="compat.golang", region="eu"}"#;

#[test]
fn a_go_program_arrives_with_all_profile_types_and_tags() {
    if !tools::have("go", "go", &["version"]) {
        return;
    }
    let program = go_build("go", &[], "sdk");
    let server = Server::start(&[]);
    let did = work(Command::new(program).arg(server.client().url()));
    let of = |field| number(&did, field);

    let tagged = r#"{service_name="compat.golang", phase="spin"}"#;
    check(&server, CPU, tagged, "spinForFlamestore", about(of("cpu_ns")));
    let untagged = flame(&server, CPU, r#"{service_name="compat.golang", phase=""}"#);
    assert!(!untagged.totals.contains_key("main.spinForFlamestore"), "{untagged:?}");

    for (profile_type, function, expected) in [
        ("memory:alloc_space:bytes:space:bytes", "allocateForFlamestore", about(of("alloc_bytes"))),
        ("memory:alloc_objects:count:space:bytes", "allocateForFlamestore", about(of("alloc_count"))),
        // What is in use, and who runs, is counted anew in each upload.
        ("memory:inuse_space:bytes:space:bytes", "allocateForFlamestore", of("inuse_bytes")..=i64::MAX),
        ("memory:inuse_objects:count:space:bytes", "allocateForFlamestore", of("inuse_count")..=i64::MAX),
        ("goroutines:goroutine:count:goroutine:count", "parkForFlamestore", of("goroutines")..=i64::MAX),
        ("mutex:contentions:count:contentions:count", "unlockForFlamestore", about(of("waits"))),
        ("mutex:delay:nanoseconds:contentions:count", "unlockForFlamestore", of("wait_ns") / 2..=of("wait_ns") * 3),
        ("block:contentions:count:contentions:count", "waitForFlamestore", about(of("waits"))),
        ("block:delay:nanoseconds:contentions:count", "waitForFlamestore", of("wait_ns") / 2..=of("wait_ns") * 3),
    ] {
        check(&server, profile_type, SELECTOR, function, expected);
    }
}
