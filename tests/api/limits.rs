//! Every limit by its golden file: what is sent, what comes back, and what is counted. Each file says where it came from.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use flamestore_clock::{Clock, SystemClock};
use flamestore_pprof::encode::{Label, Writer};
use flamestore_proto::push::v1::{PushRequest, RawProfileSeries, RawSample};
use flamestore_proto::types::v1::LabelPair;
use flamestore_tests::client::Client;
use flamestore_tests::gzip::gzip;
use flamestore_tests::{Server, files};
use prost::Message;
use serde_json::{Map, Value, json};

pub(super) const PUSH: &str = "/push.v1.PusherService/Push";
const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// One file of `tests/golden/limits`; its tenant is called as the file.
struct Golden {
    tenant: String,
    content: Value,
}

fn goldens() -> Vec<Golden> {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/limits");
    let read = |path: PathBuf| {
        let tenant = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a golden file");
        Golden { tenant, content: serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())) }
    };
    let mut all: Vec<_> = files(&dir).into_iter().map(read).collect();
    all.sort_by(|a, b| a.tenant.cmp(&b.tenant));
    all
}

/// Limits that no answer shows, and where they are tested or why there is nothing to test.
const WITHOUT_ANSWER: [(&str, &str); 2] = [
    ("compactor_partial_block_deletion_delay", "retention.rs: what an upload has left behind goes at that age"),
    ("max_query_parallelism", "has no effect yet: the configuration reference says so"),
];

#[test]
fn every_limit_that_is_enforced_has_a_golden_file() {
    let goldens = goldens();
    let sets = |name: &str| goldens.iter().any(|g| g.content["limits"].get(name).is_some());
    for spec in flamestore_limits::SPECS.iter().filter(|spec| spec.effect == flamestore_limits::Effect::Enforced) {
        let excused = WITHOUT_ANSWER.iter().any(|(name, _)| *name == spec.name);
        assert!(
            sets(spec.name) != excused,
            "{}: has a golden file: {}, excused: {excused}",
            spec.name,
            sets(spec.name)
        );
    }
}

#[test]
fn every_limit_answers_and_counts_as_its_golden_file_says() {
    let goldens = goldens();
    assert!(goldens.len() > 30, "{} golden files", goldens.len());
    let overrides: Map<_, _> = goldens.iter().map(|g| (g.tenant.clone(), g.content["limits"].clone())).collect();
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("runtime.yaml");
    fs::write(&path, json!({"overrides": overrides}).to_string()).expect("a runtime file");
    let server = Server::start(&[
        "-auth.multitenancy-enabled=true",
        "-tenant-settings.recording-rules.enabled=true",
        &format!("-runtime-config.file={}", path.display()),
    ]);
    let mut wrong = Vec::new();
    for golden in &goldens {
        assert!(golden.content["from"].as_str().is_some_and(|text| !text.is_empty()), "{}: from where?", golden.tenant);
        let client = server.client().tenant(&golden.tenant);
        for (at, step) in list(&golden.content["steps"]).iter().enumerate() {
            if let Err(why) = take(&client, step) {
                wrong.push(format!("{}, step {at}: {why}", golden.tenant));
            }
        }
    }
    let metrics = server.client().get("/metrics").expect("metrics");
    for golden in &goldens {
        for expected in list(&golden.content["metrics"]) {
            if let Err(why) = check_metric(&metrics, &golden.tenant, expected) {
                wrong.push(format!("{}: {why}", golden.tenant));
            }
        }
        for expected in list(&golden.content["metrics"]).iter().filter(|m| m["name"] == DISCARDED) {
            let bytes = json!({"name": DISCARDED_BYTES, "labels": expected["labels"], "at_least": 1});
            if let Err(why) = check_metric(&metrics, &golden.tenant, &bytes) {
                wrong.push(format!("{}: {why}", golden.tenant));
            }
        }
        let discards = list(&golden.content["metrics"]).iter().filter(|m| m["name"] == DISCARDED).count();
        let counted = metrics.lines().filter(|l| l.starts_with(DISCARDED) && l.contains(&tenant_label(&golden.tenant)));
        let counted: Vec<_> = counted.filter(|l| !l.ends_with(" 0")).collect();
        if golden.tenant != "distributor_usage_groups" && counted.len() != discards {
            wrong.push(format!("{}: discarded for other reasons too: {counted:?}", golden.tenant));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const DISCARDED_BYTES: &str = "pyroscope_discarded_bytes_total";
const DISCARDED: &str = "pyroscope_discarded_samples_total";

fn tenant_label(tenant: &str) -> String {
    format!("tenant=\"{tenant}\"")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Does one step; `Err` says how the answer differs.
fn take(client: &Client, step: &Value) -> Result<(), String> {
    let answer = &step["answer"];
    if let Some(push) = step.get("push") {
        return answered(client, PUSH, "application/proto", &push_of(push), answer);
    }
    if let Some(ingest) = step.get("ingest") {
        let lines = |n: u64| (0..n).map(|i| format!("main;function_number_{i} 1\n")).collect::<String>();
        let path = format!("/ingest?{}", ingest["query"].as_str().expect("a query"));
        let body = ingest["body"].as_str().map_or_else(|| lines(ingest["stacks"].as_u64().unwrap_or(0)), str::to_owned);
        return answered(client, &path, "text/plain", body.as_bytes(), answer);
    }
    if let Some(call) = step.get("call") {
        let path = format!("/{}", call["method"].as_str().expect("a method"));
        let body = with_times(&call["body"]).to_string();
        return answered(client, &path, "application/json", body.as_bytes(), answer);
    }
    let now = SystemClock::default().now_millis();
    if let Some(label) = step.get("values") {
        let body = json!({"name": label, "matchers": [], "start": now - 3_600_000, "end": now + 3_600_000});
        let found = client.call("querier.v1.QuerierService/LabelValues", &body);
        let found = found.get("names").cloned().unwrap_or(json!([]));
        return if found == *answer { Ok(()) } else { Err(format!("values {found}, expected {answer}")) };
    }
    let expected: Vec<_> = list(&step["functions"]).iter().filter_map(Value::as_str).collect();
    let found = client.cpu("{}", now / 1000 - 6 * 3600, now / 1000 + 60);
    let found: Vec<_> = found.totals.keys().map(String::as_str).collect();
    if found == expected { Ok(()) } else { Err(format!("functions {found:?}, expected {expected:?}")) }
}

fn answered(client: &Client, path: &str, kind: &str, body: &[u8], expected: &Value) -> Result<(), String> {
    let clock = SystemClock::default();
    let started = clock.monotonic_nanos();
    let answer = client.exchange(path, kind, &[], body).expect("an answer");
    let took = Duration::from_nanos(clock.monotonic_nanos() - started);
    let text = String::from_utf8_lossy(answer.body());
    let header = |name: &str| answer.headers().get(name).and_then(|v| v.to_str().ok());
    if expected["status"] != answer.status().as_u16() {
        return Err(format!("status {}: {text}", answer.status()));
    }
    if expected["id"].as_str() != header("x-flamestore-error") {
        return Err(format!("id {:?}: {text}", header("x-flamestore-error")));
    }
    match (expected["retry_after"].as_str(), header("retry-after")) {
        (None, None) => {}
        (Some(pattern), Some(found)) if fits(pattern, found) && found.parse::<u32>().is_ok_and(|s| s > 0) => {}
        (_, found) => return Err(format!("Retry-After {found:?}")),
    }
    if let Some(expected) = expected.get("body") {
        let found: Value = serde_json::from_str(&text).map_err(|e| format!("{e}: {text}"))?;
        let equal = match expected["message"].as_str() {
            Some(pattern) => {
                expected["code"] == found["code"] && found["message"].as_str().is_some_and(|said| fits(pattern, said))
            }
            None => *expected == found,
        };
        if !equal {
            return Err(format!("answer {found}\nexpected {expected}"));
        }
    }
    let parts: Value =
        if expected.get("parts").is_some() { serde_json::from_str(&text).expect("JSON") } else { json!(null) };
    for (pointer, expected) in expected["parts"].as_object().into_iter().flatten() {
        let found = parts.pointer(pointer).unwrap_or(&Value::Null);
        if found.as_f64() != expected.as_f64() || (!found.is_number() && found != expected) {
            return Err(format!("{pointer} is {found}, expected {expected}: {text}"));
        }
    }
    let millis = |name: &str| expected[name].as_u64().map(Duration::from_millis);
    if millis("takes_at_least_ms").is_some_and(|least| took < least)
        || millis("takes_at_most_ms").is_some_and(|most| took > most)
    {
        return Err(format!("took {took:?}"));
    }
    Ok(())
}

/// Whether a text is the pattern, where `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => {
            let Some(tail) = text.strip_prefix(head) else { return false };
            tail.char_indices().any(|(at, _)| fits(rest, &tail[at..])) || fits(rest, "")
        }
    }
}

/// `"now-10s"`, `"now+10s"` and `"now"` become milliseconds.
fn with_times(body: &Value) -> Value {
    let now = SystemClock::default().now_millis();
    let mut body = body.clone();
    for value in body.as_object_mut().into_iter().flat_map(|b| b.values_mut()) {
        let from_now = value.as_str().and_then(|text| text.strip_prefix("now"));
        if let Some(from_now) = from_now {
            let seconds: i64 = from_now.trim_end_matches('s').parse().unwrap_or(0);
            *value = json!(now + 1000 * seconds);
        }
    }
    body
}

/// The push that a golden file describes: one profile, as small as it can be where nothing else is said.
pub(super) fn push_of(spec: &Value) -> Vec<u8> {
    let mut labels: BTreeMap<&str, Vec<&str>> =
        BTreeMap::from([("__name__", vec!["process_cpu"]), ("service_name", vec!["golden"])]);
    for (name, value) in spec["labels"].as_object().into_iter().flatten() {
        let values = match value {
            Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
            one => one.as_str().into_iter().collect(),
        };
        labels.insert(name, values);
    }
    let pairs =
        labels.iter().flat_map(|(name, values)| values.iter().map(|value| (name.to_string(), value.to_string())));
    let series = RawProfileSeries {
        labels: pairs.map(|(name, value)| LabelPair { name, value }).collect(),
        samples: vec![RawSample { raw_profile: pprof_of(spec).into(), id: String::new() }],
        annotations: Vec::new(),
    };
    PushRequest { series: vec![series] }.encode_to_vec()
}

fn pprof_of(spec: &Value) -> Vec<u8> {
    let number = |name: &str, default: u64| spec[name].as_u64().unwrap_or(default);
    let age = spec["age_seconds"].as_i64().unwrap_or(0) * NANOS_PER_SECOND;
    let mut writer = Writer::new();
    writer.sample_type("cpu", "nanoseconds");
    writer.period("cpu", "nanoseconds", 10_000_000);
    writer.time_nanos(SystemClock::default().now_nanos() - age);
    // A string that nobody uses.
    writer.string(&"p".repeat(number("padding", 0) as usize));
    let names: Vec<String> = (0..number("sample_labels", 0)).map(|i| format!("l{i}")).collect();
    let samples = number("samples", 1);
    for sample in 0..samples {
        let root = spec["function"].as_str().unwrap_or("f0");
        let mut stack: Vec<u64> = (1..number("depth", 1)).map(|depth| writer.frame(&format!("f{depth}"))).collect();
        stack.reverse();
        stack.push(writer.frame(root));
        if sample > 0 {
            stack.insert(0, writer.frame(&format!("of_sample_{sample}")));
        }
        let value = if spec["distinct_sample_labels"] == true { format!("v{sample}") } else { "v".to_owned() };
        let labels: Vec<_> = names.iter().map(|key| Label::Text { key, text: &value }).collect();
        // The first is the largest, so that it is known what is cut.
        let count = i64::try_from(samples - sample).expect("a few samples");
        writer.sample(&stack, &[10_000_000 * count], &labels);
    }
    let bytes = writer.finish();
    if spec["gzip"] == true { gzip(&bytes) } else { bytes }
}

fn check_metric(metrics: &str, tenant: &str, expected: &Value) -> Result<(), String> {
    let name = expected["name"].as_str().expect("a metric");
    let mut labels: Vec<String> =
        expected["labels"].as_object().into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
    labels.push(tenant_label(tenant));
    let line =
        metrics.lines().find(|line| line.starts_with(&format!("{name}{{")) && labels.iter().all(|l| line.contains(l)));
    let found: f64 = line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0);
    let good = match expected["at_least"].as_f64() {
        Some(least) => found >= least,
        None => expected["value"].as_f64() == Some(found),
    };
    if good { Ok(()) } else { Err(format!("{name} {labels:?} is {found}, expected {expected}")) }
}
