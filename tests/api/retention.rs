//! What goes: by age, on request; and what operators are told of it.

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::client::Client;
use flamestore_tests::{Server, until};
use serde_json::Value;

const HOUR_MS: i64 = 3_600_000;
/// Every round of the compactor, all the time.
const BUSY: [&str; 4] = [
    "-compactor.compaction-interval=50ms",
    "-compactor.cleanup-interval=50ms",
    "-compactor.deletion-delay=200ms",
    "-validation.reject-older-than=0",
];

fn now_ms() -> i64 {
    SystemClock::default().now_millis()
}

fn push(client: &Client, service: &str, at_ms: i64, function: &str) {
    let (status, text) = client.push_folded(service, at_ms / 1000, &format!("main;{function} 5\n")).expect("an answer");
    assert_eq!(status, 200, "{text}");
}

fn json(client: &Client, path: &str) -> Value {
    serde_json::from_str(&client.get(path).expect("an answer")).expect("JSON")
}

fn functions(client: &Client, from_ms: i64) -> Vec<String> {
    let flame = client.cpu("{}", from_ms / 1000, now_ms() / 1000 + 1);
    flame.self_values.into_keys().collect()
}

#[test]
fn no_timeline_step_or_offset_reaches_what_is_past_retention() {
    let server = Server::start(&["-retention-period=2h", "-validation.reject-older-than=0"]);
    let client = server.client();
    let now = now_ms();
    push(&client, "old", now - 3 * HOUR_MS, "ancient");
    push(&client, "old", now - HOUR_MS / 2, "young");
    let young = 50_000_000.0;
    let sum = |values: &Value| values.as_array().expect("values").iter().filter_map(Value::as_f64).sum::<f64>();
    for (from, until, left) in [("now-4h", "now-2h30m", 0.0), ("now-4h", "now", young)] {
        let shown = json(&client, &format!("/pyroscope/render?query=old&from={from}&until={until}"));
        assert_eq!(shown["flamebearer"]["numTicks"], left, "{from}");
        assert_eq!(sum(&shown["timeline"]["samples"]), left, "{from}: {}", shown["timeline"]);
    }
    let moved = "/api/v1/query?query=%7Bservice%3D%22old%22%2C%20offset%3D2h50m%7D&from=now-30m&until=now";
    let moved = json(&client, moved);
    assert_eq!((&moved["flamebearer"]["numTicks"], sum(&moved["timeline"]["samples"])), (&0.into(), 0.0));
    let body = serde_json::json!({
        "profile_typeID": "process_cpu:cpu:nanoseconds:cpu:nanoseconds", "label_selector": "{}", "step": 4 * 3600,
        "start": now - HOUR_MS / 4, "end": now, "query_type": "HEATMAP_QUERY_TYPE_INDIVIDUAL",
    });
    let series = client.call("querier.v1.QuerierService/SelectSeries", &body);
    assert_eq!(series["series"][0]["points"][0]["value"], young, "{series}");
    let map = client.call("querier.v1.QuerierService/SelectHeatmap", &body);
    let counts = &map["series"][0]["slots"][0]["counts"];
    assert_eq!(sum(counts), 1.0, "{map}");
}

#[test]
fn what_is_past_retention_is_not_shown_and_its_blocks_go() {
    let flags = [&BUSY[..], &["-compactor.blocks-retention-period=2h", "-querier.max-query-length=0"]].concat();
    let mut server = Server::start(&flags);
    let now = now_ms();
    push(&server.client(), "old", now - 5 * HOUR_MS, "ancient");
    server.stop();
    server.start_again();
    let plan = |client: &Client| json(client, "/api/v1/retention/plan");
    let blocks = |client: &Client| json(client, "/api/v1/blocks")["blocks"].as_array().cloned().unwrap_or_default();
    until("the end of the old block and its bytes", || {
        let (blocks, plan) = (blocks(&server.client()), plan(&server.client()));
        let nothing = |rows: &Value| rows.as_array().is_some_and(Vec::is_empty);
        if blocks.is_empty() && nothing(&plan["due"]) && nothing(&plan["marked"]) {
            Ok(())
        } else {
            Err(format!("{blocks:?} {plan}"))
        }
    });
    let metrics = server.client().get("/metrics").expect("metrics");
    let marked = "pyroscope_compactor_blocks_marked_for_deletion_total{reason=\"retention\"} 1";
    assert!(metrics.contains(marked), "{metrics}");
    assert!(server.log().contains("compactor: retention: block marked for deletion"));
    assert!(server.log().contains("compactor: cleanup: deleting block"));
    // The words by which operators look for all this.
    for word in ["compactor", "retention", "cleanup", "deleting"] {
        assert!(server.log().lines().any(|line| line.contains("level=info") && line.contains(word)), "{word}");
    }

    // One block with both: nothing young goes for its old neighbours, and those are not shown.
    push(&server.client(), "mixed", now - 5 * HOUR_MS, "hidden");
    push(&server.client(), "mixed", now - HOUR_MS / 2, "young");
    let from = now - 6 * HOUR_MS;
    assert_eq!(functions(&server.client(), from), ["young"]);
    server.stop();
    server.start_again();
    let client = server.client();
    assert_eq!(functions(&client, from), ["young"]);
    let (blocks, plan) = (blocks(&client), plan(&client));
    assert_eq!((blocks.len(), &blocks[0]["services"]), (1, &serde_json::json!(["mixed"])));
    assert_eq!((&plan["retentionSeconds"], &plan["enabled"]), (&7200.into(), &true.into()));
    assert!(plan["next"][0]["hiddenAtMs"].as_i64().is_some_and(|at| at > now), "{plan}");
}

#[test]
fn what_is_deleted_is_hidden_at_once_and_gone_at_last() {
    let mut server = Server::start(&BUSY);
    let client = server.client();
    let now = now_ms();
    push(&client, "kept", now - 60_000, "stays");
    push(&client, "secret", now - 60_000, "goes");
    push(&client, "secret", now - HOUR_MS / 2, "before");
    let path = format!("/api/v1/delete?query=%7Bservice_name%3D%22secret%22%7D&from={}&until={}", now - 120_000, now);
    let (status, receipt) = client.post(&path, "text/plain", &[], b"").expect("an answer");
    assert_eq!(status, 202, "{receipt}");
    assert_eq!(functions(&client, now - HOUR_MS), ["before", "stays"]);
    // Pushed later: not what was meant.
    push(&client, "secret", now - 60_000, "later");
    assert_eq!(functions(&client, now - HOUR_MS), ["before", "later", "stays"]);
    let receipt: Value = serde_json::from_str(&receipt).expect("JSON");
    let path = format!("/api/v1/delete/{}", receipt["id"].as_str().expect("an id"));
    until("the end of the bytes", || {
        let receipt = json(&client, &path);
        if receipt["state"] == "done" { Ok(()) } else { Err(receipt.to_string()) }
    });
    assert_eq!(functions(&client, now - HOUR_MS), ["before", "later", "stays"]);
    server.kill();
    server.start_again();
    assert_eq!(functions(&server.client(), now - HOUR_MS), ["before", "later", "stays"]);
    assert_eq!(json(&server.client(), "/api/v1/delete")["deletions"][0]["state"], "done");
}

#[test]
fn a_request_to_delete_that_makes_no_sense_is_refused() {
    let server = Server::start(&[]);
    let client = server.client();
    let refused = |path: &str| client.post(path, "text/plain", &[], b"").expect("an answer");
    for (path, says) in [
        ("/api/v1/delete", "query"),
        ("/api/v1/delete?query=%7B%7D&from=1&until=2", "everything"),
        ("/api/v1/delete?query=%7Ba&from=1&until=2", "selector"),
        ("/api/v1/delete?query=%7Ba%3D%22b%22%7D&from=2&until=1", "until"),
        ("/api/v1/delete?query=%7Ba%3D%22b%22%7D&from=now&until=1", "from"),
    ] {
        let (status, text) = refused(path);
        assert_eq!(status, 400, "{path}: {text}");
        assert!(text.contains(says), "{path}: {text}");
    }
    assert_eq!(client.try_get("/api/v1/delete/nope").expect("an answer").0, 404);
}

#[test]
fn what_an_upload_has_left_behind_goes_at_the_age_that_the_tenants_limit_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("runtime.yaml");
    let overrides = "overrides: { quick: { compactor_partial_block_deletion_delay: 300ms } }";
    std::fs::write(&file, overrides).expect("a runtime file");
    let runtime = format!("-runtime-config.file={}", file.display());
    let server = Server::start(&[&BUSY[..], &["-auth.multitenancy-enabled=true", &runtime]].concat());
    let left = |tenant: &str| {
        let folder = server.bucket().join(format!("{tenant}/blocks/01KAK4Q2M0000000000000000A"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("samples.parquet");
        std::fs::write(&file, "cut off").expect("a file");
        file
    };
    let (quick, patient) = (left("quick"), left("patient"));
    until("the end of the file", || if quick.exists() { Err("it is there".to_owned()) } else { Ok(()) });
    assert!(patient.exists(), "a day has not passed for the other tenant");
}
