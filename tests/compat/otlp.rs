//! OTLP as the generated Go types of three released revisions send it, by gRPC and HTTP, and as the Collector writes it.

use std::process::Command;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::client::{CPU, Flame};
use flamestore_tests::{Server, tools};

use serde_json::json;

use super::arrived::flame;
use super::{go_build, number, work};

/// Releases of the generated types that differ on the wire, with what each is built with. v0.3 is the same as v0.4.
const REVISIONS: [(&str, &[&str]); 3] = [
    ("v0.1", &["-modfile=revisions/v0.1.mod", "-tags=v0_1"]),
    ("v0.2", &["-modfile=revisions/v0.2.mod"]),
    ("v0.4", &[]),
];

#[test]
fn every_released_revision_of_otlp_arrives_in_every_way() {
    if !tools::have("go", "go", &["version"]) {
        return;
    }
    let server = Server::start(&[]);
    for (revision, arguments) in REVISIONS {
        let program = go_build("otlp", arguments, &format!("otlp-{revision}"));
        let (http, grpc) = (server.http().to_string(), server.grpc().to_string());
        let did = work(Command::new(program).args([revision, &http, &grpc]));
        let (busy, idle) = (number(&did, "work_ns"), number(&did, "idle_ns"));
        let services = did["services"].as_array().expect("services");
        assert_eq!(services.len(), 6);
        for service in services {
            let service = service.as_str().expect("a name");
            let all = flame(&server, CPU, &format!(r#"{{service_name="{service}", region="eu"}}"#));
            assert_eq!(all.total, busy + idle, "{service}");
            assert_eq!(all.totals["main"], busy + idle, "{service}");
            assert_eq!(all.self_values["workForFlamestore"], busy, "{service}");
            assert_eq!(all.self_values["idleForFlamestore"], idle, "{service}");
            let tagged = flame(&server, CPU, &format!(r#"{{service_name="{service}", phase="spin"}}"#));
            assert_eq!(tagged.total, busy, "{service}");
        }
    }
}

#[test]
fn what_the_collector_writes_arrives_with_its_spans() {
    if !tools::have("go", "go", &["version"]) {
        return;
    }
    let program = go_build("collector", &[], "collector");
    let server = Server::start(&[]);
    let did = work(Command::new(program).arg(server.http().to_string()));
    let (busy, now) = (number(&did, "work_ns"), SystemClock::default().now_nanos() / 1_000_000);
    for service in did["services"].as_array().expect("services") {
        let service = service.as_str().expect("a name");
        let selector = format!(r#"{{service_name="{service}", region="eu"}}"#);
        let all = flame(&server, CPU, &selector);
        assert_eq!(all.self_values["workForFlamestore"], busy, "{service}");
        for (ids, wanted) in [("spanSelector", &did["span"]), ("traceIdSelector", &did["trace"])] {
            let answer = server.client().call(
                "querier.v1.QuerierService/SelectMergeStacktraces",
                &json!({
                    "profileTypeID": CPU, "labelSelector": selector, ids: [wanted],
                    "start": now - 3_600_000, "end": now + 60_000,
                }),
            );
            assert_eq!(Flame::read(&answer["flamegraph"]).total, busy, "{service} {ids}");
        }
    }
}
