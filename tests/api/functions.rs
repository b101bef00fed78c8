//! Function tables and sandwiches: exact, whatever is shown.

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::Server;
use flamestore_tests::client::{CPU, Client};
use serde_json::{Value, json};

const METHOD: &str = "querier.v1.QuerierService/SelectMergeStacktraces";
/// Nanoseconds of one sample of a folded push.
const SAMPLE: i64 = 10_000_000;

fn selection(service: &str, now: i64) -> Value {
    json!({
        "profileTypeID": CPU,
        "labelSelector": format!("{{service_name=\"{service}\"}}"),
        "start": (now - 60) * 1000, "end": (now + 60) * 1000,
    })
}

fn with(mut base: Value, more: Value) -> Value {
    base.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    base
}

fn number(value: &Value) -> i64 {
    value.as_str().map_or(0, |text| text.parse().expect("64-bit numbers are strings"))
}

/// (name, self, total) in samples, by name.
fn rows(table: &Value, own: &str, total: &str) -> Vec<(String, i64, i64)> {
    let row =
        |r: &Value| (r["name"].as_str().unwrap().to_owned(), number(&r[own]) / SAMPLE, number(&r[total]) / SAMPLE);
    let mut rows: Vec<_> = table["functions"].as_array().expect("functions").iter().map(row).collect();
    rows.sort();
    rows
}

fn expected(rows: &[(&str, i64, i64)]) -> Vec<(String, i64, i64)> {
    rows.iter().map(|(name, own, total)| ((*name).to_owned(), *own, *total)).collect()
}

fn started() -> (Server, Client, i64) {
    let server = Server::start(&[]);
    let client = server.client();
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    let left = "main;fib;fib;fib 5\nmain;fib 1\nmain;idle 4\n";
    let right = "main;fib 10\nmain;new 30\n";
    assert_eq!(client.push_folded("left", now, left).unwrap().0, 200);
    assert_eq!(client.push_folded("right", now, right).unwrap().0, 200);
    (server, client, now)
}

#[test]
fn function_tables_are_counted_before_anything_is_cut() {
    let (_server, client, now) = started();
    let format = json!({"format": "PROFILE_FORMAT_FUNCTIONS"});
    let answer = client.call(METHOD, &with(selection("left", now), format.clone()));
    assert_eq!(answer.as_object().unwrap().len(), 1, "only what was asked for: {answer}");
    let table = &answer["functions"];
    assert_eq!(rows(table, "self", "total"), expected(&[("fib", 6, 6), ("idle", 4, 4), ("main", 0, 10)]));
    assert_eq!((number(&table["total"]) / SAMPLE, number(&table["totalFunctions"])), (10, 3));

    let two = with(with(selection("left", now), format.clone()), json!({"maxNodes": 2}));
    let table = &client.call(METHOD, &two)["functions"];
    assert_eq!(rows(table, "self", "total"), expected(&[("fib", 6, 6), ("main", 0, 10)]));
    assert_eq!((number(&table["total"]) / SAMPLE, number(&table["totalFunctions"])), (10, 3));

    let none = client.call(METHOD, &with(selection("nobody", now), format));
    assert_eq!(none, json!({"functions": {}}), "an empty table is one");
}

#[test]
fn a_diff_of_functions_joins_both_sides() {
    let (_server, client, now) = started();
    let sides = json!({"left": selection("left", now), "right": selection("right", now)});
    let diff = |more: Value| client.call("querier.v1.QuerierService/Diff", &with(sides.clone(), more));
    let answer = diff(json!({"format": "PROFILE_FORMAT_FUNCTIONS", "maxNodes": 3}));
    let table = &answer["functions"];
    assert_eq!(
        rows(table, "leftSelf", "leftTotal"),
        expected(&[("fib", 6, 6), ("main", 0, 10), ("new", 0, 0)]),
        "idle has the smallest share"
    );
    assert_eq!(rows(table, "rightSelf", "rightTotal"), expected(&[("fib", 10, 10), ("main", 0, 40), ("new", 30, 30)]));
    let totals = ["leftTotal", "rightTotal"].map(|name| number(&table[name]) / SAMPLE);
    assert_eq!((totals, number(&table["totalFunctions"])), ([10, 40], 4));
    assert!(diff(json!({}))["flamegraph"].is_object());
    assert!(diff(json!({"format": "PROFILE_FORMAT_OF_TOMORROW"}))["flamegraph"].is_object());
    let sandwich = diff(json!({"format": "PROFILE_FORMAT_SANDWICH", "sandwichFunction": "fib"}));
    let totals = ["left", "right"].map(|side| number(&sandwich["sandwich"][side]["total"]) / SAMPLE);
    assert_eq!(totals, [6, 10]);
}

#[test]
fn a_sandwich_has_callers_above_and_callees_below() {
    let (_server, client, now) = started();
    let ask = json!({"format": "PROFILE_FORMAT_SANDWICH", "sandwichFunction": "fib", "maxNodes": 100});
    let answer = client.call(METHOD, &with(selection("left", now), ask));
    let sandwich = &answer["sandwich"];
    assert_eq!((number(&sandwich["total"]) / SAMPLE, number(&sandwich["self"]) / SAMPLE), (6, 6));
    let mut paths = Vec::new();
    walk(&sandwich["callers"], &sandwich["names"], "", &mut paths);
    // Five stacks count once for each of their three calls.
    let callers = ["fib 16", "fib;fib 10", "fib;fib;fib 5", "fib;fib;fib;main 5", "fib;fib;main 5", "fib;main 6"];
    assert_eq!(paths, callers);
    paths.clear();
    walk(&sandwich["callees"], &sandwich["names"], "", &mut paths);
    assert_eq!(paths, ["fib 16", "fib;fib 10", "fib;fib;fib 5"]);

    let nameless = with(selection("left", now), json!({"format": "PROFILE_FORMAT_SANDWICH"})).to_string();
    let (status, text) = client.post(&format!("/{METHOD}"), "application/json", &[], nameless.as_bytes()).unwrap();
    assert_eq!(status, 400, "{text}");
    assert!(text.contains("sandwich_function"), "{text}");
}

/// `path total` of every node.
fn walk(node: &Value, names: &Value, above: &str, paths: &mut Vec<String>) {
    let name = names[node["nameIndex"].as_u64().unwrap_or(0) as usize].as_str().unwrap();
    let path = if above.is_empty() { name.to_owned() } else { format!("{above};{name}") };
    paths.push(format!("{path} {}", number(&node["total"]) / SAMPLE));
    for child in node["children"].as_array().into_iter().flatten() {
        walk(child, names, &path, paths);
    }
}
