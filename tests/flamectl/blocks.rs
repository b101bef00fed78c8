//! Blocks are listed, looked at, verified and copied, without a server.

use std::fs;
use std::path::Path;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::stores::S3;
use flamestore_tests::{Server, files, until};
use serde_json::{Value, json};

use crate::flamectl::{push, run, run_at};

/// Two flushed blocks, the second with one service more.
fn flushed(flags: &[&str]) -> Server {
    let mut server = Server::start(flags);
    push(&server, "shop", "main;work 30\nmain;idle 5\n");
    server.stop();
    server.start_again();
    push(&server, "shop", "main;work 3\n");
    push(&server, "other", "main 1\n");
    server.stop();
    server.start_again();
    server
}

fn dir(server: &Server) -> String {
    format!("--storage.filesystem.dir={}", server.bucket().display())
}

fn rows(listed: &Value) -> Vec<Value> {
    let mut rows = listed["blocks"].as_array().expect("blocks").clone();
    rows.sort_by_key(|row| row["block"].to_string());
    rows
}

#[test]
fn blocks_are_listed_by_the_server_and_without_it() {
    let mut server = flushed(&[]);
    let by_server = rows(&run(&server, &["blocks", "list", "-o", "json"]).json());
    server.stop();
    let offline = |args: &[&str]| run_at("", &[&["blocks", "list", &dir(&server)][..], args].concat(), b"");
    let listed = rows(&offline(&["-o", "json"]).json());
    assert_eq!(listed.len(), 2);
    for (a, b) in listed.iter().zip(&by_server) {
        for key in ["tenant", "block", "state", "level", "minTimeMs", "maxTimeMs", "services", "profiles", "bytes"] {
            assert_eq!(a[key], b[key], "{key}");
        }
    }
    let table = offline(&[]);
    assert!(table.text().starts_with("BLOCK ") && table.text().contains("\n2 live blocks, 3 profiles, "), "{table:?}");
    let of_other = rows(&offline(&["--service", "other", "-o", "json"]).json());
    assert_eq!(of_other.len(), 1);
    assert_eq!(of_other[0]["services"], json!(["other", "shop"]));
    for (none, time) in [("--from", "now+1h"), ("--until", "now-1h")] {
        assert_eq!(rows(&offline(&[none, time, "-o", "json"]).json()).len(), 0, "{none}");
    }
    assert_eq!(rows(&offline(&["--tenant", "somebody", "-o", "json"]).json()).len(), 0);
    run_at("", &["blocks", "verify"], b"").failed(2, "say which bucket");
    run_at("", &["blocks", "list", "--storage.filesystem.dir=/no/such/folder"], b"").failed(6, "no such folder");
}

#[test]
fn a_block_is_shown_down_to_its_columns() {
    let mut server = flushed(&[]);
    server.stop();
    // The server's own file says which bucket.
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("flamestore.yaml");
    fs::write(&config, format!("storage:\n  filesystem:\n    dir: {}\n", server.bucket().display())).unwrap();
    let config = format!("--config.file={}", config.display());
    let listed = rows(&run_at("", &["blocks", &config, "list", "--service", "other", "-o", "json"], b"").json());
    let id = listed[0]["block"].as_str().unwrap();
    let table = run_at("", &["blocks", "inspect", id, &config], b"");
    for words in [id, "level     0, flushed by ", "samples.parquet", "stacktrace_id", "ZSTD", "state     live"] {
        assert!(table.text().contains(words), "{words}: {}", table.text());
    }
    let json = run_at("", &["blocks", "inspect", id, &config, "-o", "json"], b"").json();
    let block = &json["blocks"][0];
    assert_eq!((&block["state"], &block["meta"]["ulid"]), (&json!("live"), &json!(id)));
    let samples = &block["files"]["samples.parquet"];
    assert_eq!(samples["rows"], block["meta"]["stats"]["samples"]);
    assert_eq!(samples["row_groups"][0]["columns"][2]["name"], "stacktrace_id");
    run_at("", &["blocks", "inspect", "01ARZ3NDEKTSV4RRFFQ69G5FAV", &config], b"").failed(7, "there is no block");
    run_at("", &["blocks", "inspect", "nonsense", &config], b"").failed(2, "is no id of a block");
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn every_damage_is_named_and_ends_with_8() {
    let mut server = flushed(&[]);
    server.stop();
    let verify = |args: &[&str]| run_at("", &[&["blocks", "verify", &dir(&server)][..], args].concat(), b"");
    assert!(
        verify(&[]).text().starts_with("2 blocks, ") && verify(&[]).text().ends_with(": all is what was written\n")
    );
    let all = files(&server.bucket());
    let of = |name: &str| all.iter().filter(|f| f.ends_with(name)).cloned().collect::<Vec<_>>();
    let (samples, functions) = (of("samples.parquet"), of("functions.parquet"));
    flip(&samples[0], 60);
    fs::remove_file(&functions[1]).unwrap();
    let ran = verify(&[]);
    assert_eq!(ran.code, Some(8), "{ran:?}");
    let said = String::from_utf8(ran.out).unwrap();
    let shown = |path: &Path| path.strip_prefix(server.bucket()).unwrap().display().to_string();
    assert!(said.contains(&format!("{} bytes 0 to ", shown(&samples[0]))), "{said}");
    assert!(said.contains(&format!("{}: it is missing", shown(&functions[1]))), "{said}");
    let json = verify(&["-o", "json"]);
    let json: Value = serde_json::from_slice(&json.out).unwrap();
    assert_eq!((&json["blocks"], json["damages"].as_array().map(Vec::len)), (&json!(2), Some(2)), "{json}");
    let apart = samples[0].parent() != functions[1].parent();
    assert_eq!(json["damagedBlocks"], if apart { 2 } else { 1 });
    let to = tempfile::tempdir().unwrap();
    let id = samples[0].parent().unwrap().file_name().unwrap().to_str().unwrap();
    let export = ["blocks", "export", &dir(&server), "--to", to.path().to_str().unwrap(), id];
    run_at("", &export, b"").failed(8, "the checksum is wrong");
    assert!(!to.path().join(id).join("samples.parquet").exists() && !to.path().join(id).join("meta.json").exists());
}

#[test]
fn a_meta_that_cannot_be_read_is_a_damage_and_listed_as_unreadable() {
    // Without an index: that has the metas of what it lists.
    let mut server = flushed(&["-compactor.block-cleanup-enabled=false"]);
    server.stop();
    let meta = files(&server.bucket()).into_iter().find(|f| f.ends_with("meta.json")).unwrap();
    fs::write(&meta, "{").unwrap();
    let list = run_at("", &["blocks", "list", &dir(&server), "--all", "-o", "json"], b"").json();
    let states: Vec<&Value> = list["blocks"].as_array().unwrap().iter().map(|row| &row["state"]).collect();
    assert!(states.contains(&&json!("unreadable")) && states.contains(&&json!("live")), "{list}");
    let verified = run_at("", &["blocks", "verify", &dir(&server)], b"");
    assert_eq!(verified.code, Some(8), "{verified:?}");
    assert!(String::from_utf8(verified.out).unwrap().contains("meta.json: "));
}

#[test]
fn copies_are_what_the_bucket_has() {
    let mut server = flushed(&[]);
    server.stop();
    let to = tempfile::tempdir().unwrap();
    let copy = to.path().join("copy");
    let ran = run_at("", &["blocks", "export", &dir(&server), "--to", copy.to_str().unwrap()], b"");
    assert!(ran.text().contains(": 2 blocks, "), "{ran:?}");
    let copied = files(&copy);
    assert_eq!(copied.len(), 16);
    for file in copied.iter().filter(|f| f.extension().is_some_and(|e| e == "parquet")) {
        let there = server.bucket().join("anonymous/blocks").join(file.strip_prefix(&copy).unwrap());
        assert_eq!(fs::read(file).unwrap(), fs::read(there).unwrap(), "{}", file.display());
    }
    // The same once more, and then beside something else that has the same profiles.
    let again = || run_at("", &["blocks", "export", &dir(&server), "--to", copy.to_str().unwrap()], b"");
    assert!(again().text().contains(": 2 blocks, "));
    let one = fs::read_dir(&copy).unwrap().next().unwrap().unwrap().path();
    fs::rename(&one, copy.join("01KAHV8N00000000000000000Z")).unwrap();
    again().failed(6, "01KAHV8N00000000000000000Z holds profiles that would be in FOLDER twice");
    let none = run_at("", &["blocks", "export", &dir(&server), "--service", "nobody", "--to", "/tmp/x"], b"");
    none.failed(7, "there are no blocks that fit");
}

#[test]
fn blocks_in_s3_are_verified_and_compacted_ones_listed_with_the_dead() {
    let Some(store) = S3::start() else { return };
    let flags = store.flags();
    let mut flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    flags.extend(["-compactor.compaction-interval=50ms", "-validation.reject-older-than=0"]);
    let mut server = Server::start(&flags);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    for _ in 0..2 {
        let (status, text) = server.client().push_folded("shop", now - 4 * 3600, "main;work 3\n").expect("an answer");
        assert_eq!(status, 200, "{text}");
        server.stop();
        server.start_again();
    }
    let storage: Vec<String> = store.flags().iter().map(|flag| format!("-{flag}")).collect();
    let bucket = |args: &[&str]| {
        let storage = storage.iter().map(String::as_str);
        run_at("", &["blocks"].into_iter().chain(args.iter().copied()).chain(storage).collect::<Vec<_>>(), b"")
    };
    until("a compacted block", || {
        let rows = rows(&run(&server, &["blocks", "list", "-o", "json"]).json());
        (rows.len() == 1 && rows[0]["level"] == 1).then_some(()).ok_or_else(|| format!("{rows:?}\n{}", server.log()))
    });
    server.stop();
    let all = rows(&bucket(&["list", "--all", "-o", "json"]).json());
    let dead = all.iter().filter(|row| row["state"] == "dead" && row["why"] == "compaction").count();
    assert_eq!((all.len(), dead), (3, 2), "{all:?}");
    assert!(bucket(&["verify"]).text().starts_with("1 blocks, "));
    let wrong = bucket(&["list", "--storage.s3.secret-access-key=wrong"]);
    assert!(matches!(wrong.code, Some(2..=4)), "{wrong:?}");
}
