//! The Python SDK, and py-spy.

use std::fs;
use std::path::Path;
use std::process::Command;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::client::CPU;
use flamestore_tests::{Server, tools};

use super::arrived::{about, check, running};
use super::{built, number, sources, work};

#[test]
fn a_python_program_arrives_with_cpu_memory_and_tags() {
    if !tools::python_has("pyroscope") {
        return;
    }
    let server = Server::start(&[]);
    let did = work(Command::new(tools::python()).arg(sources("python/app.py")).arg(server.client().url()));
    let of = |field| number(&did, field);

    let tagged = r#"{service_name="compat.python", phase="spin"}"#;
    check(&server, CPU, tagged, "spin_for_flamestore", running(&did));
    let selector = r#"{service_name="compat.python", region="eu"}"#;
    // The leaf of the allocations bears the name of their function too.
    let leaf = "allocate_for_flamestore.";
    for (profile_type, expected) in [
        ("memory:alloc_space:bytes:space:bytes", about(of("alloc_bytes"))),
        ("memory:alloc_objects:count:space:bytes", about(of("alloc_count"))),
        // What is in use is counted anew in each upload.
        ("memory:inuse_space:bytes:space:bytes", of("alloc_bytes") / 2..=i64::MAX),
        ("memory:inuse_objects:count:space:bytes", of("alloc_count") / 2..=i64::MAX),
    ] {
        check(&server, profile_type, selector, leaf, expected);
    }
}

#[test]
fn what_py_spy_records_arrives_as_speedscope() {
    let python = tools::python();
    let beside = Path::new(&python).with_file_name("py-spy");
    let py_spy = if beside.exists() { beside.display().to_string() } else { "py-spy".to_owned() };
    if !tools::have("py-spy (tests/requirements.txt)", &py_spy, &["--version"]) {
        return;
    }
    let file = built("python").join("py-spy.json");
    let did = {
        let mut record = Command::new(py_spy);
        record.args(["record", "--rate", "100", "--duration", "60", "--format", "speedscope", "--output"]).arg(&file);
        work(record.arg("--").arg(python).arg(sources("python/spin.py")))
    };
    let server = Server::start(&[]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    let path = format!("/ingest?name=compat.pyspy.cpu%7Bregion%3Deu%7D&format=speedscope&sampleRate=100&from={now}");
    let recorded = fs::read(&file).expect("what py-spy wrote");
    let (status, answer) = server.client().post(&path, "application/json", &[], &recorded).expect("an answer");
    assert_eq!(status, 200, "{answer}");
    let selector = r#"{service_name="compat.pyspy", region="eu"}"#;
    check(&server, CPU, selector, "spin_for_flamestore", running(&did));
}
