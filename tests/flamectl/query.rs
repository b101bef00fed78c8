//! One answer in every form.

use flamestore_pprof::encode::Writer;
use flamestore_tests::Server;
use flamestore_tests::gzip::gunzip;
use serde_json::json;

use crate::flamectl::fake::{answer, serve};
use crate::flamectl::{push, run, run_at};

const STACKS: &str = "main;work;decode 30\nmain;work 10\nmain;idle 5\nmain;fib;fib 5\n";

fn started() -> Server {
    let server = Server::start(&[]);
    push(&server, "demo", STACKS);
    server
}

#[test]
fn every_form_shows_what_was_pushed() {
    let server = started();
    let query = |form: &str| run(&server, &["query", "demo", "-o", form]);

    let table = query("table");
    let row = table.text().lines().find(|l| l.ends_with("  decode")).expect("a row of decode");
    assert_eq!(row.split_whitespace().collect::<Vec<_>>().join(" "), "300 ms 60.00% 300 ms 60.00% decode");
    assert!(table.text().contains("total 500 ms, 5 functions"), "{table:?}");
    assert!(!table.text().contains('\x1b'), "no colours where there is no terminal");

    let folded = query("collapsed");
    assert_eq!(
        folded.text(),
        "main;fib;fib 50000000\nmain;idle 50000000\nmain;work 100000000\nmain;work;decode 300000000\n"
    );

    let tree = query("tree");
    let lines: Vec<&str> = tree.text().lines().map(|l| l.get(31..).unwrap_or_default()).collect();
    assert_eq!(lines[1..5], ["total", "└─ main", "   ├─ work", "   │  └─ decode"], "{}", tree.text());

    let json = query("json").json();
    assert_eq!((json["total"].as_i64(), json["unit"].as_str()), (Some(500_000_000), Some("nanoseconds")));
    let fib = json["functions"].as_array().unwrap().iter().find(|f| f["name"] == "fib").expect("fib");
    assert_eq!((fib["self"].as_i64(), fib["total"].as_i64()), (Some(50_000_000), Some(50_000_000)));

    let svg = query("svg");
    assert!(svg.text().starts_with("<?xml") && svg.text().ends_with("</svg>\n"));
    assert!(svg.text().contains("<title>decode: 300 ms (60.00 %), self 300 ms</title>"), "{}", svg.text());

    assert!(query("dot").text().starts_with("digraph"));

    let pprof = query("pprof");
    assert_eq!(pprof.code, Some(0), "{}", pprof.err);
    let profile = flamestore_pprof::decode(&gunzip(&pprof.out), 0).unwrap();
    assert_eq!(profile.values.iter().sum::<i64>(), 500_000_000);
}

#[test]
fn an_answer_can_go_to_a_file() {
    let server = started();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("demo.pb.gz");
    let ran = run(&server, &["query", "demo", "-o", "pprof", "--file", path.to_str().unwrap()]);
    assert_eq!((ran.code, ran.out.len()), (Some(0), 0), "{ran:?}");
    // It is a file that can be pushed again.
    let back = run(&server, &["push", path.to_str().unwrap(), "--service", "again"]);
    assert!(back.text().contains(": stored (pprof, "), "{back:?}");
    let [first, second] = ["demo", "again"].map(|s| run(&server, &["query", s, "-o", "collapsed"]).text().to_owned());
    assert_eq!(first, second);
}

#[test]
fn a_cut_tree_keeps_its_total() {
    let server = started();
    let ran = run(&server, &["query", "demo", "-o", "collapsed", "--max-nodes", "2"]);
    let sum: i64 = ran.text().lines().map(|l| l.rsplit_once(' ').unwrap().1.parse::<i64>().unwrap()).sum();
    assert_eq!(sum, 500_000_000);
    assert!(ran.text().contains(";other "), "{ran:?}");
}

#[test]
fn labels_series_and_types_are_listed() {
    let server = started();
    assert_eq!(run(&server, &["types"]).text(), "process_cpu:cpu:nanoseconds:cpu:nanoseconds\n");
    assert_eq!(run(&server, &["labels", "service_name"]).text(), "demo\n");
    assert_eq!(run(&server, &["labels", "service_name", "--match", "nobody"]).text(), "");
    assert!(run(&server, &["labels"]).text().lines().any(|l| l == "service_name"));
    let series = run(&server, &["series", "demo", "--label", "service_name"]);
    assert_eq!(series.text(), "{service_name=\"demo\"}\n");
    // What is printed finds the series again.
    let printed = run(&server, &["series", "demo"]).text().trim().to_owned();
    assert_eq!(run(&server, &["series", &printed]).text().trim(), printed);
    let json = run(&server, &["series", "demo", "-o", "json"]).json();
    assert_eq!(json[0]["service_name"], "demo");
}

#[test]
fn watch_prints_table_after_table_where_there_is_no_terminal() {
    let server = started();
    let ran = run(&server, &["watch", "demo", "--count", "2", "--interval", "10ms", "--limit", "1"]);
    assert_eq!(ran.text().matches("total 500 ms, 5 functions").count(), 2, "{ran:?}");
    assert!(!ran.text().contains('\x1b'), "{ran:?}");
    let empty = run(&server, &["watch", "nobody", "--count", "1"]);
    assert!(empty.text().contains("there are no profiles of"), "{empty:?}");
}

#[test]
fn colours_come_when_they_are_asked_for() {
    let server = started();
    let ran = run(&server, &["query", "demo", "--color", "always"]);
    assert!(ran.text().contains("\x1b[1;31m"), "{ran:?}");
}

#[test]
fn a_server_that_counts_no_functions_is_asked_for_all_stacks() {
    let mut pprof = Writer::new();
    pprof.sample_type("cpu", "nanoseconds");
    let [main, work] = ["main", "work"].map(|name| pprof.frame(name));
    pprof.sample(&[work, main], &[30_000_000], &[]);
    pprof.sample(&[main], &[10_000_000], &[]);
    let pprof = pprof.finish();
    let id = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
    // An answer without the field that only ours knows has no bytes.
    for (status, body) in [("200 OK", &b""[..]), ("501 Not Implemented", b"no such form")] {
        let pprof = pprof.clone();
        let old = serve(move |path| match path.ends_with("/SelectMergeProfile") {
            true => answer("200 OK", &pprof),
            false => answer(status, body),
        });
        let json = run_at(&old, &["query", id, "-o", "json"], b"").json();
        assert_eq!(json["functions"][0], json!({"name": "work", "self": 30_000_000, "total": 30_000_000}));
        assert_eq!(json["functions"][1], json!({"name": "main", "self": 10_000_000, "total": 40_000_000}));
    }
}
