//! DuckDB reads blocks by the recipe of `docs/reference/block-format.md` and finds what the server answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::client::Flame;
use flamestore_tests::{Server, tools};

/// For each function its self value and its total, by DuckDB.
fn read_by_duckdb(server: &Server, service: &str) -> BTreeMap<String, (i64, i64)> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let ran = Command::new(tools::python())
        .arg(top.join("open_format/recipe.py"))
        .arg(top.join("../docs/reference/block-format.md"))
        .arg(server.bucket().join("anonymous/blocks"))
        .arg(service)
        .output()
        .expect("python runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let rows: Vec<(String, i64, i64)> = serde_json::from_slice(&ran.stdout).expect("rows");
    rows.into_iter().map(|(name, own, total)| (name, (own, total))).collect()
}

fn answered(flame: &Flame) -> BTreeMap<String, (i64, i64)> {
    let own = |name: &String| flame.self_values.get(name).copied().unwrap_or(0);
    flame.totals.iter().map(|(name, total)| (name.clone(), (own(name), *total))).collect()
}

#[test]
fn duckdb_finds_in_blocks_what_the_server_answers() {
    if !tools::python_has("duckdb") {
        return;
    }
    let mut server = Server::start(&[]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    // Two blocks of one service, and another service in both.
    for (back, stacks) in
        [(120, "main;serve;parse 3\nmain;serve 4\nmain;gc 5\n"), (60, "main;serve;parse 11\nidle 7\n")]
    {
        for (service, stacks) in [("shop", stacks), ("other", "main;elsewhere 1000\n")] {
            let (status, body) = server.client().push_folded(service, now - back, stacks).expect("an answer");
            assert_eq!(status, 200, "{body}");
        }
        server.stop();
        server.start_again();
    }
    let flame = server.client().cpu(r#"{service_name="shop"}"#, now - 600, now + 60);
    assert_eq!(flame.total, 30 * 10_000_000);
    assert_eq!(flame.totals["serve"], 18 * 10_000_000);
    let read = read_by_duckdb(&server, "shop");
    assert_eq!(read, answered(&flame));
    assert_eq!(read.values().map(|(own, _)| own).sum::<i64>(), flame.total);
    let other = server.client().cpu(r#"{service_name="other"}"#, now - 600, now + 60);
    assert_eq!(read_by_duckdb(&server, "other"), answered(&other));
}
