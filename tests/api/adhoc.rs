//! Files that a person uploads to look at: every form, shown, listed and compared.

use flamestore_pprof::encode::Writer;
use flamestore_tests::Server;
use flamestore_tests::client::Client;
use serde_json::{Value, json};

const SERVICE: &str = "adhocprofiles.v1.AdHocProfileService";

/// Base 64, as `-w0` of the tool writes it.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

/// Status and answer of an upload.
fn upload(client: &Client, name: &str, file: &[u8]) -> (u16, Value) {
    let body = json!({ "name": name, "profile": base64(file) }).to_string();
    let path = format!("/{SERVICE}/Upload");
    let (status, text) = client.post(&path, "application/json", &[], body.as_bytes()).expect("an answer");
    (status, serde_json::from_str(&text).expect("JSON"))
}

/// The flame graph inside an answer.
fn shown(answer: &Value) -> Value {
    serde_json::from_str(answer["flamebearerProfile"].as_str().expect("a flame graph")).expect("JSON")
}

const SCRIPT: &str = "\
server 12/34 [001] 100.25: 250000 cycles:u:
\t  401136 work+0x10 (/usr/bin/server)
\t  401000 main (/usr/bin/server)

server 12/34 [001] 100.50: 250000 cycles:u:
\t  401000 main+0x8 (/usr/bin/server)

";

#[test]
fn every_form_is_shown_listed_and_compared() {
    let mut server = Server::start(&[]);
    let client = server.client();
    let (status, folded) = upload(&client, "x.folded", b"server;main;work 1\nserver;main 1\n");
    assert_eq!((status, &folded["profileTypes"]), (200, &json!(["x.folded"])));
    let (status, script) = upload(&client, "perf.txt", SCRIPT.as_bytes());
    assert_eq!((status, &script["profileTypes"]), (200, &json!(["cycles:u"])), "{script}");
    assert_eq!(shown(&script)["flamebearer"], shown(&folded)["flamebearer"]);

    // What was shown once can be uploaded again.
    let kept = script["flamebearerProfile"].as_str().expect("a flame graph");
    let (status, again) = upload(&client, "kept.json", kept.as_bytes());
    assert_eq!((status, &again["profileTypes"]), (200, &json!(["cycles:u"])), "{again}");
    assert_eq!(shown(&again), shown(&script));

    let mut writer = Writer::new();
    writer.sample_type("samples", "count");
    writer.sample_type("cpu", "nanoseconds");
    let main = writer.frame("main");
    writer.sample(&[main], &[2, 20], &[]);
    let (status, pprof) = upload(&client, "cpu.pb", &writer.finish());
    assert_eq!((status, &pprof["profileTypes"]), (200, &json!(["samples", "cpu"])), "{pprof}");

    server.stop();
    server.start_again();
    let client = server.client();
    let listed = client.call(&format!("{SERVICE}/List"), &json!({}));
    let names: Vec<_> = listed["profiles"].as_array().expect("a list").iter().map(|p| p["name"].clone()).collect();
    assert_eq!(names.len(), 4, "{listed}");
    for name in ["x.folded", "perf.txt", "kept.json", "cpu.pb"] {
        assert!(names.contains(&json!(name)), "{name} in {listed}");
    }
    let get = client.call(&format!("{SERVICE}/Get"), &json!({ "id": pprof["id"], "profileType": "cpu" }));
    assert_eq!(shown(&get)["flamebearer"]["numTicks"], 20, "{get}");
    let both = json!({ "leftId": script["id"], "rightId": again["id"] });
    let diff = client.call(&format!("{SERVICE}/Diff"), &both);
    assert_eq!(diff["profileTypes"], json!(["cycles:u"]));
    assert_eq!((&shown(&diff)["leftTicks"], &shown(&diff)["rightTicks"]), (&json!(2), &json!(2)));
}

#[test]
fn what_cannot_be_read_is_refused_and_not_kept() {
    let server = Server::start(&[]);
    let client = server.client();
    for (name, file) in [
        ("garbage.bin", &b"\xff\xff\xff\xff"[..]),
        ("empty.txt", b""),
        ("words.txt", b"these are words\n"),
        ("cut.json", br#"{"version":1,"flamebearer":{"names":["total"],"levels":[[0,1"#),
        ("wrong.json", br#"{"version":1,"flamebearer":{"names":["total"],"levels":[[0,1,0,0],[0,2,2,9]]}}"#),
        ("diff.json", br#"{"flamebearer":{"names":[],"levels":[]},"metadata":{"format":"double"}}"#),
        ("cut.perf", b"server 12 1.5: cycles:\n\tnothing here\n"),
    ] {
        let (status, answer) = upload(&client, name, file);
        assert!((400..500).contains(&status), "{name}: {status} {answer}");
        assert!(answer["message"].as_str().is_some_and(|m| m.contains(name)), "{name}: {answer}");
    }
    let path = format!("/{SERVICE}/Upload");
    let (status, _) = client.post(&path, "application/json", &[], br#"{"name":"x","profile":"*"}"#).expect("an answer");
    assert_eq!(status, 400);
    assert_eq!(client.call(&format!("{SERVICE}/List"), &json!({})), json!({}));
}
