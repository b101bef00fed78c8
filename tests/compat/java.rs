//! The Java agent: CPU, allocations and locks, as JFR.

use std::process::Command;

use flamestore_tests::client::CPU;
use flamestore_tests::{Server, tools};

use super::arrived::{about, check, flame, running};
use super::{build, built, number, sources, work};

const SELECTOR: &str = r#"{service_name="compat.java", region="eu"}"#;
/// The agent counts every allocation of this many bytes; the program allocates larger ones.
const ALLOCATION_INTERVAL: &str = "64k";

#[test]
fn a_java_program_arrives_with_cpu_allocations_locks_and_labels() {
    let tools = [("java", "-version"), ("javac", "-version"), ("mvn", "--version")];
    if !tools.iter().all(|(tool, flag)| tools::have(tool, tool, &[flag])) {
        return;
    }
    let home = built("java");
    let (agent, classes) = (home.join("agent.jar"), home.join("classes"));
    build(
        Command::new("mvn")
            .args(["--batch-mode", "--quiet", "--update-snapshots", "dependency:copy-dependencies", "--file"])
            .arg(sources("java/pom.xml"))
            .arg(format!("-DoutputDirectory={}", home.display())),
    );
    build(Command::new("javac").arg("-cp").arg(&agent).arg("-d").arg(&classes).arg(sources("java/Compat.java")));
    let server = Server::start(&[]);
    let did = work(
        Command::new("java")
            .arg(format!("-javaagent:{}", agent.display()))
            .arg("-cp")
            .arg(&classes)
            // Milliseconds that it waits at the end: more than the interval of uploads.
            .args(["Compat", "4000"])
            .env("PYROSCOPE_APPLICATION_NAME", "compat.java")
            .env("PYROSCOPE_SERVER_ADDRESS", server.client().url())
            .env("PYROSCOPE_LABELS", "region=eu")
            .env("PYROSCOPE_FORMAT", "jfr")
            // A timer of its own, as a container may forbid the kernel's events.
            .env("PYROSCOPE_PROFILER_EVENT", "itimer")
            .env("PYROSCOPE_PROFILER_ALLOC", ALLOCATION_INTERVAL)
            .env("PYROSCOPE_PROFILER_LOCK", "1ms")
            .env("PYROSCOPE_UPLOAD_INTERVAL", "2s"),
    );
    let of = |field| number(&did, field);

    let tagged = r#"{service_name="compat.java", phase="spin"}"#;
    check(&server, CPU, tagged, "Compat.spinForFlamestore", running(&did));
    let untagged = flame(&server, CPU, r#"{service_name="compat.java", phase=""}"#);
    assert!(!untagged.totals.contains_key("Compat.spinForFlamestore"), "{untagged:?}");

    let arrays = "Compat.allocateForFlamestore";
    for (profile_type, function, expected) in [
        ("memory:alloc_in_new_tlab_bytes:bytes:space:bytes", arrays, about(of("alloc_bytes"))),
        ("memory:alloc_in_new_tlab_objects:count:space:bytes", arrays, about(of("alloc_count"))),
        ("mutex:contentions:count:mutex:count", "Compat.lockForFlamestore", about(of("lock_count"))),
        ("mutex:delay:nanoseconds:mutex:count", "Compat.lockForFlamestore", of("lock_ns") / 2..=of("lock_ns") * 3),
    ] {
        check(&server, profile_type, SELECTOR, function, expected);
    }
}
