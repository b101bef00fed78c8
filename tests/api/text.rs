//! The text language on `/api/v1/query`: what dashboards, scripts and people write.

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::Server;
use flamestore_tests::client::Client;
use serde_json::Value;

const DAY: i64 = 86_400;
/// Nanoseconds of one sample of a folded push.
const SAMPLE: i64 = 10_000_000;

fn started() -> (Server, Client) {
    let server = Server::start(&["-validation.reject-older-than=0"]);
    let (client, now) = (server.client(), SystemClock::default().now_nanos() / 1_000_000_000);
    for (service, at, stacks) in [
        ("my-api", now - 60, "main;fast 1\nmain;slow 9\n"),
        ("my-api", now - 60 - 7 * DAY, "main;fast 1\nmain;slow 3\n"),
        ("api-v2", now - 60, "main;other 2\n"),
    ] {
        assert_eq!(client.push_folded(service, at, stacks).unwrap().0, 200);
    }
    (server, client)
}

fn path(text: &str, more: &str) -> String {
    let encoded: String = text.bytes().map(|b| format!("%{b:02X}")).collect();
    format!("/api/v1/query?query={encoded}{more}")
}

fn ask(client: &Client, text: &str, more: &str) -> Value {
    let body = client.get(&path(text, more)).unwrap_or_else(|e| panic!("{text}: {e}"));
    serde_json::from_str(&body).expect("JSON")
}

fn samples(value: &Value) -> i64 {
    value.as_i64().expect("a number") / SAMPLE
}

#[test]
fn every_way_to_name_a_service_gives_its_flame_graph() {
    let (_server, client) = started();
    let id = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
    for text in [
        "my-api".to_owned(),
        r#"{service="my-api"}"#.to_owned(),
        r#"{service="my-api"}{type="cpu"}"#.to_owned(),
        r#"cpu{service_name=~"my-.*"}"#.to_owned(),
        format!(r#"{id}{{service_name="my-api"}}"#),
        format!(r#"{{__profile_type__="{id}", service="my-api"}}"#),
    ] {
        let answer = ask(&client, &text, "");
        assert_eq!(answer["metadata"]["format"], "single", "{text}");
        assert_eq!(samples(&answer["flamebearer"]["numTicks"]), 10, "{text}");
        assert!(answer["timeline"]["samples"].as_array().is_some_and(|s| !s.is_empty()), "{text}");
    }
    assert_eq!(ask(&client, "nobody", "")["flamebearer"]["numTicks"], 0);
    assert_eq!(ask(&client, "my-api", "&from=now-10s")["flamebearer"]["numTicks"], 0, "from and until count");
    let cut = ask(&client, "my-api", "&max-nodes=1");
    assert!(cut["flamebearer"]["names"].as_array().unwrap().contains(&"other".into()), "{cut}");
    let dot = client.get(&path("my-api", "&format=dot")).unwrap();
    assert!(dot.starts_with("digraph"), "{dot}");
}

#[test]
fn a_week_ago_is_compared_with_now() {
    let (_server, client) = started();
    let last_week = ask(&client, r#"{service="my-api", offset=7d}"#, "&from=now-1h&until=now");
    assert_eq!(samples(&last_week["flamebearer"]["numTicks"]), 4, "an offset goes beyond the lookback");
    let both = ask(&client, r#"{service="my-api", offset=7d} vs {service="my-api"}"#, "&from=now-1h&until=now");
    assert_eq!(both["metadata"]["format"], "double");
    assert_eq!((samples(&both["leftTicks"]), samples(&both["rightTicks"])), (4, 10));
    let services = ask(&client, r#"{service="my-api"} vs {service="api-v2"}"#, "");
    assert_eq!((samples(&services["leftTicks"]), samples(&services["rightTicks"])), (10, 2));
    let names = ask(&client, "my-api vs nobody", "");
    assert_eq!((samples(&names["leftTicks"]), samples(&names["rightTicks"])), (10, 0));
}

#[test]
fn what_cannot_be_read_is_told() {
    let (_server, client) = started();
    for (text, more, told) in [
        ("", "", "query"),
        ("{service=", "", "service"),
        (r#"{type="nope"}"#, "", "nope"),
        (r#"{service="a", offset=soon}"#, "", "soon"),
        ("a vs", "", "both sides"),
        (r#"{service="my-api"}{type="cpu"} vs {service="my-api"}{type="wall"}"#, "", "profile types must match"),
        ("a vs b", "&format=dot", "json"),
        ("a", "&format=svg", "svg"),
    ] {
        let (status, body) = client.try_get(&path(text, more)).unwrap();
        assert_eq!(status, 400, "{text}: {body}");
        assert!(body.contains(told), "{text}: {body}");
    }
}
