//! Buckets that were left by older versions are read, and give the answers that were recorded then.
//!
//! `tests/golden/buckets` has one folder for each generation of the formats of blocks and lists: a bucket, and its answers.
//! `FLAMESTORE_GENERATION=<name> cargo test -p flamestore-tests write_a_generation -- --ignored` writes the next one, after
//! `cargo xtask test` has built the programs. Old ones are never written again.

use std::path::{Path, PathBuf};

use flamestore_pprof::encode::{Label, Writer};
use flamestore_tests::client::{CPU, Client, Flame};
use flamestore_tests::{Server, files, tools};
use serde_json::{Value, json};

use super::lived::until_compacted;
use super::{answer, python};
use crate::flamectl;

/// 2025-11-21T04:00:00Z, in seconds.
const START: i64 = 1_763_697_600;
const DAY: i64 = 86_400;
const SERVICES: [&str; 4] = ["other", "shop", "steady", "traced"];
const SPAN: &str = "00000000000000a7";
const TRACE: &str = "0123456789abcdef0123456789abcdef";
const ANSWERS: &str = "answers.json";
const TENANT: &str = "anonymous";
/// Nothing is refused or goes because it is old.
const TIMELESS: [&str; 4] = [
    "-validation.reject-older-than=0",
    "-retention-period=0",
    "-querier.max-query-lookback=0",
    "-querier.max-query-length=0",
];
/// Nearly all profiles of `traced` are kept, and those that are say so.
const SAMPLED: &str = r#"
limits:
  distributor_usage_groups: { most: '{service_name="traced"}' }
  distributor_sampling: { usage_groups: { most: { probability: 0.999999999 } } }
"#;
/// So often that sums of 5 minutes and of an hour are worth their bytes.
const STEADY_SECONDS: [(i64, i64); 2] = [(0, 1300), (3600, 3800)];

fn generations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/buckets")
}

fn flags(compaction: &str, more: &[String]) -> Vec<String> {
    let interval = format!("-compactor.compaction-interval={compaction}");
    TIMELESS.iter().map(|flag| (*flag).to_owned()).chain([interval]).chain(more.iter().cloned()).collect()
}

fn start(compaction: &str, more: &[String]) -> Server {
    let flags = flags(compaction, more);
    Server::start(&flags.iter().map(String::as_str).collect::<Vec<_>>())
}

fn push_pprof(client: &Client, service: &str, at: i64, pprof: &[u8]) {
    let path = format!("/ingest?name={service}&format=pprof&from={at}&until={at}");
    let (status, text) = client.post(&path, "application/octet-stream", &[], pprof).expect("an answer");
    assert_eq!(status, 200, "{text}");
}

/// Two types in one, with labels of samples and with a function that calls itself.
fn memory(at: i64) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.sample_type("alloc_objects", "count");
    writer.sample_type("alloc_space", "bytes");
    writer.period("space", "bytes", 524_288);
    writer.time_nanos(at * 1_000_000_000);
    let [main, walk, new] = ["main", "walk", "new"].map(|name| writer.frame(name));
    writer.sample(&[new, walk, main], &[3, 4096], &[]);
    writer.sample(&[new, main], &[1, 100_000], &[]);
    writer.finish()
}

fn traced(at: i64) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.sample_type("cpu", "nanoseconds");
    writer.period("cpu", "nanoseconds", 1);
    writer.time_nanos(at * 1_000_000_000);
    let [main, one, other] = ["main", "one", "other"].map(|name| writer.frame(name));
    let span = [Label::Text { key: "span_id", text: SPAN }, Label::Text { key: "trace_id", text: TRACE }];
    writer.sample(&[one, main], &[40], &span);
    writer.sample(&[other, main], &[30], &span[..1]);
    writer.sample(&[main], &[900], &[]);
    writer.finish()
}

fn push_round(client: &Client, start: i64, round: i64) {
    for at in [start, start + 900] {
        for (service, stacks) in [
            ("shop", format!("main;serve;parse {round}\nmain;gc 5\nround{round};gc 1\n")),
            ("other", "main;elsewhere 1000\n".to_owned()),
        ] {
            let (status, text) = client.push_folded(service, at, &stacks).expect("an answer");
            assert_eq!(status, 200, "{text}");
        }
        push_pprof(client, "shop", at, &memory(at));
        push_pprof(client, "traced", at, &traced(at));
    }
}

/// Flushed, compacted and dead blocks; a request to delete whose profiles still stand in a block.
fn live_through(server: &mut Server, more: &[String]) {
    for at in STEADY_SECONDS.iter().flat_map(|(from, until)| (*from..*until).step_by(2)) {
        let stacks = "main;a 1\nmain;b 2\nmain;c 3\nmain;d 4\n";
        let (status, text) = server.client().push_folded("steady", START + at, stacks).expect("an answer");
        assert_eq!(status, 200, "{text}");
    }
    for round in 1..3 {
        push_round(&server.client(), START, round);
        server.stop();
        server.start_again();
    }
    until_compacted(server);
    // From here on nothing is compacted.
    server.stop();
    server.set_flags(flags("24h", more));
    server.start_again();
    push_round(&server.client(), START + 2 * DAY, 3);
    server.stop();
    server.start_again();
    let (from, until) = (START * 1000, (START + 60) * 1000);
    let path = format!("/api/v1/delete?query=%7Bservice_name%3D%22other%22%7D&from={from}&until={until}");
    let (status, text) = server.client().post(&path, "text/plain", &[], b"").expect("an answer");
    assert_eq!(status, 202, "{text}");
}

/// What queries answer, in a form that does not depend on the order of what has none.
fn answers(client: &Client) -> Value {
    let (from, until) = (START - 60, START + 3 * DAY);
    let ask = |method: &str, mut body: Value| {
        body["start"] = (from * 1000).into();
        body["end"] = (until * 1000).into();
        client.call(&format!("querier.v1.QuerierService/{method}"), &body)
    };
    let kinds = ask("ProfileTypes", json!({}));
    let mut kinds: Vec<&str> =
        kinds["profileTypes"].as_array().expect("types").iter().filter_map(|t| t["ID"].as_str()).collect();
    kinds.sort_unstable();
    let series = ask("Series", json!({ "matchers": ["{}"], "labelNames": ["service_name", "__profile_type__"] }));
    let mut series: Vec<String> =
        series["labelsSet"].as_array().expect("series").iter().map(|set| set["labels"].to_string()).collect();
    series.sort();
    let mut flames = serde_json::Map::new();
    for kind in &kinds {
        for service in SERVICES {
            let flame = client.merged(kind, &format!("{{service_name=\"{service}\"}}"), from, until);
            flames.insert(format!("{kind} of {service}"), shown(&flame));
        }
    }
    let of_span = json!({ "profileTypeID": CPU, "labelSelector": "{}", "spanSelector": [SPAN], "maxNodes": 1000 });
    let of_span = Flame::read(&ask("SelectMergeSpanProfile", of_span)["flamegraph"]);
    let sums = json!({ "profileTypeID": CPU, "labelSelector": "{}", "step": 3600, "groupBy": ["service_name"] });
    let sums = ask("SelectSeries", sums);
    let mut sums: Vec<Value> = sums["series"].as_array().expect("series").iter().map(points).collect();
    sums.sort_by_key(Value::to_string);
    json!({ "types": kinds, "series": series, "flames": flames, "span": shown(&of_span), "sums": sums })
}

fn shown(flame: &Flame) -> Value {
    json!({ "total": flame.total, "self": flame.self_values, "totals": flame.totals })
}

fn points(series: &Value) -> Value {
    let points = series["points"].as_array().expect("points").iter();
    json!([series["labels"], points.map(|p| json!([p["timestamp"], p["value"], p["annotations"]])).collect::<Vec<_>>()])
}

/// What the command line says of the bucket itself.
fn listed(bucket: &Path) -> Value {
    let dir = format!("--storage.filesystem.dir={}", bucket.display());
    let rows = flamectl::run_at("", &["blocks", "list", "--all", &dir, "-o", "json"], b"").json();
    let kept = ["block", "state", "level", "services", "profiles", "samples", "bytes", "sources", "why"];
    rows["blocks"].as_array().expect("blocks").iter().map(|row| kept.map(|key| row[key].clone()).to_vec()).collect()
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let name = file.strip_prefix(from).expect("below it");
        if ["blocks", "index"].iter().any(|part| name.starts_with(Path::new(TENANT).join(part))) {
            let copy = to.join(name);
            std::fs::create_dir_all(copy.parent().expect("a folder")).expect("a folder");
            std::fs::copy(&file, copy).expect("a copy");
        }
    }
}

#[test]
fn the_buckets_of_every_generation_give_the_recorded_answers() {
    let mut seen = 0;
    for generation in std::fs::read_dir(generations()).expect("generations") {
        let generation = generation.expect("a folder").path();
        let text = std::fs::read_to_string(generation.join(ANSWERS)).expect("its answers");
        let recorded: Value = serde_json::from_str(&text).expect("JSON");
        let mut server = start("24h", &[]);
        server.stop();
        copy(&generation, &server.bucket());
        assert_eq!(listed(&server.bucket()), recorded["blocks"], "{}", generation.display());
        let dir = format!("--storage.filesystem.dir={}", server.bucket().display());
        let verified = flamectl::run_at("", &["blocks", "verify", &dir], b"");
        assert!(verified.text().ends_with("all is what was written\n"), "{verified:?}");
        read_by_others(&server.bucket().join(TENANT), &recorded["answers"]);
        server.start_again();
        assert_eq!(answers(&server.client()), recorded["answers"], "{}", generation.display());
        seen += 1;
    }
    assert!(seen > 0, "there is no generation");
}

/// The reader that knows the document alone; what was deleted on request is hidden from it, too.
fn read_by_others(tenant: &Path, recorded: &Value) {
    if !tools::python_has("pyarrow") {
        return;
    }
    for service in SERVICES {
        let found = answer(python("reader.py").arg(tenant).args([service, CPU, "0", &i64::MAX.to_string()]));
        let flame = &recorded["flames"][format!("{CPU} of {service}")];
        assert_eq!(found["total"], flame["total"], "{service}");
        let totals: serde_json::Map<String, Value> = found["functions"]
            .as_object()
            .expect("functions")
            .iter()
            .map(|(name, values)| (name.clone(), values[1].clone()))
            .collect();
        assert_eq!(Value::from(totals), flame["totals"], "{service}");
    }
}

#[test]
#[ignore = "writes a generation; only when a format has changed"]
fn write_a_generation() {
    let name = std::env::var("FLAMESTORE_GENERATION").expect("FLAMESTORE_GENERATION is the new folder's name");
    let to = generations().join(name);
    assert!(!to.exists(), "{} is there: old generations are never written again", to.display());
    let dir = tempfile::tempdir().expect("a directory");
    let config = dir.path().join("config.yaml");
    std::fs::write(&config, SAMPLED).expect("a configuration");
    let more = [format!("-config.file={}", config.display())];
    let mut server = start("50ms", &more);
    live_through(&mut server, &more);
    let answers = answers(&server.client());
    server.stop();
    copy(&server.bucket(), &to);
    let names: Vec<_> = files(&to).iter().filter_map(|f| Some(f.file_name()?.to_string_lossy().into_owned())).collect();
    for wanted in ["rollup_block.parquet", "rollup_1h.parquet", "rollup_5m.parquet"] {
        assert!(names.iter().any(|name| name == wanted), "{wanted} was not worth its bytes: {names:?}");
    }
    let recorded = json!({ "blocks": listed(&to), "answers": answers });
    let text = serde_json::to_string_pretty(&recorded).expect("JSON");
    std::fs::write(to.join(ANSWERS), text + "\n").expect("its answers");
}
