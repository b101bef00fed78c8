//! Files of every kind arrive, each acknowledged.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use flamestore_clock::{Clock, SystemClock};
use flamestore_pprof::encode::Writer;
use flamestore_tests::Server;
use flamestore_tests::gzip::gzip;
use serde_json::json;

use crate::flamectl::fake::{answer, serve};
use crate::flamectl::{run, run_at};

/// Two samples of 20 ms in `main;work`, one of 5 ms in `main`.
fn pprof() -> Vec<u8> {
    let mut pprof = Writer::new();
    pprof.sample_type("cpu", "nanoseconds");
    pprof.period("cpu", "nanoseconds", 10_000_000);
    let [main, work] = ["main", "work"].map(|name| pprof.frame(name));
    pprof.sample(&[work, main], &[40_000_000], &[]);
    pprof.sample(&[main], &[5_000_000], &[]);
    pprof.finish()
}

fn otlp(now_nanos: i64) -> serde_json::Value {
    json!({
        "resourceProfiles": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "from-otlp"}}]},
            "scopeProfiles": [{"profiles": [{
                "sampleType": {"typeStrindex": 1, "unitStrindex": 2},
                "periodType": {"typeStrindex": 1, "unitStrindex": 2},
                "period": "10000000",
                "timeUnixNano": now_nanos.to_string(),
                "samples": [{"stackIndex": 1, "values": ["30000000"]}],
            }]}],
        }],
        "dictionary": {
            "mappingTable": [{}],
            "locationTable": [{}, {"lines": [{"functionIndex": 1}]}],
            "functionTable": [{}, {"nameStrindex": 3}],
            "linkTable": [{}],
            "stringTable": ["", "cpu", "nanoseconds", "exported"],
            "attributeTable": [{}],
            "stackTable": [{}, {"locationIndices": [1]}],
        },
    })
}

#[test]
fn files_of_several_formats_are_told_apart_and_each_is_acknowledged() {
    let server = Server::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let put = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let speedscope = json!({
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "shared": {"frames": [{"name": "main"}, {"name": "sampled"}]},
        "profiles": [{"type": "sampled", "name": "x", "unit": "seconds", "startValue": 0, "endValue": 1,
                      "samples": [[0, 1]], "weights": [0.03]}],
    });
    let files = [
        put("plain.pprof", &pprof()),
        put("no-ending", &gzip(&pprof())),
        put("stacks.txt", b"main;work 2\nmain 1\n"),
        put("stacks.gz", &gzip(b"main;work 2\n")),
        put("py.json", speedscope.to_string().as_bytes()),
    ];
    let args: Vec<&str> = ["push"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let ran = run(&server, &[&args[..], &["--service", "mixed", "--label", "env=test"]].concat());
    let said: Vec<&str> =
        ran.text().lines().map(|l| l.split_once(": stored (").unwrap().1.split_once(',').unwrap().0).collect();
    assert_eq!(said, ["pprof", "pprof", "folded", "folded", "speedscope"]);

    let folded = run(&server, &["query", "mixed", "-o", "collapsed"]);
    assert_eq!(folded.text(), "main 20000000\nmain;sampled 30000000\nmain;work 120000000\n");
    assert_eq!(run(&server, &["labels", "env"]).text(), "test\n");
}

#[test]
fn an_otlp_export_says_itself_who_it_is_of() {
    let server = Server::start(&[]);
    let url = format!("http://{}", server.http());
    let body = otlp(SystemClock::default().now_nanos()).to_string();
    let ran = run_at(&url, &["push", "-"], body.as_bytes());
    assert!(ran.text().starts_with("-: stored (otlp, "), "{ran:?}");
    assert_eq!(run(&server, &["query", "from-otlp", "-o", "collapsed"]).text(), "exported 30000000\n");
    let refused = run_at(&url, &["push", "-"], &gzip(br#"{"resourceProfiles": [{"nothing": 1}]}"#));
    refused.failed(3, "the server refused (400): ");
}

#[test]
fn a_file_that_is_refused_does_not_keep_the_others() {
    let server = Server::start(&[]);
    let dir = tempfile::tempdir().unwrap();
    let (bad, good) = (dir.path().join("bad.folded"), dir.path().join("good.folded"));
    fs::write(&bad, "main five\n").unwrap();
    fs::write(&good, "main 5\n").unwrap();
    let ran = run(&server, &["push", bad.to_str().unwrap(), good.to_str().unwrap(), "--service", "x"]);
    ran.failed(3, "bad.folded: the server refused (422): folded text, line 1");
    assert!(String::from_utf8_lossy(&ran.out).contains("good.folded: stored"), "{ran:?}");
}

#[test]
fn a_server_that_is_over_a_limit_for_the_moment_is_asked_again() {
    let busy = |times: usize, status: &'static str| {
        let asked = AtomicUsize::new(0);
        serve(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            n if n < times => {
                format!("HTTP/1.1 {status}\r\nRetry-After: 0\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy")
                    .into()
            }
            _ => answer("200 OK", b""),
        })
    };
    let push = ["push", "-", "--service", "x", "--format", "folded"];
    for status in ["429 Too Many Requests", "503 Service Unavailable"] {
        let ran = run_at(&busy(2, status), &push, b"main;work 5\n");
        assert!(ran.text().contains("-: stored"), "{ran:?}");
        assert_eq!(ran.err.matches("busy; trying again in ").count(), 2, "{ran:?}");
    }
    let at_once = [&push[..], &["--retry-for", "0"]].concat();
    run_at(&busy(1, "429 Too Many Requests"), &at_once, b"main;work 5\n").failed(3, "busy");
    run_at(&busy(1, "422 Unprocessable Entity"), &push, b"main;work 5\n").failed(3, "busy");
    run_at(&busy(5, "503 Service Unavailable"), &push, b"main;work 5\n").failed(5, "busy");
}
