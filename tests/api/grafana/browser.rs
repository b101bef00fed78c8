//! Profiles Drilldown: calls from a browser through Grafana's proxy, without the headers of a Connect client.

use flamestore_proto::google::v1::Profile;
use flamestore_tests::protobuf::{field, number};
use http::Response;
use prost::Message;
use serde_json::{Value, json};

use super::{CPU, SAMPLE_NANOS, Shop, TENANT, text};

/// What Grafana's proxy makes of a browser's request.
const PROXIED: [&str; 5] = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
    "Accept-Encoding: gzip",
    "X-Forwarded-For: 192.0.2.1",
    "X-Grafana-Org-Id: 1",
    "X-Grafana-User: admin",
];
const WITH_UTF8_NAMES: &str = "Accept: application/json; allow-utf8-labelnames=true";

impl Shop {
    fn proxied(&self, verb: &str, path: &str, extra: &[&str], body: &[u8]) -> Response<Vec<u8>> {
        let tenant = format!("X-Scope-OrgID: {TENANT}");
        self.send(verb, path, &[&PROXIED[..], &[tenant.as_str()], extra].concat(), body)
    }

    fn fetch(&self, method: &str, body: &str, accept: &str) -> Response<Vec<u8>> {
        self.proxied("POST", &format!("/{method}"), &["Content-Type: application/json", accept], body.as_bytes())
    }

    fn post(&self, method: &str, body: &Value) -> Value {
        let answer = self.fetch(method, &body.to_string(), WITH_UTF8_NAMES);
        assert_eq!(answer.status(), 200, "{method} {body}: {}", text(&answer));
        assert_eq!(answer.headers()["content-type"], "application/json", "{method}");
        serde_json::from_slice(answer.body()).expect("JSON")
    }

    fn querier(&self, method: &str, body: &Value) -> Value {
        self.post(&format!("querier.v1.QuerierService/{method}"), body)
    }

    fn get(&self, path: &str) -> Response<Vec<u8>> {
        let answer = self.proxied("GET", path, &["Accept: application/json, text/plain, */*"], &[]);
        assert_eq!(answer.status(), 200, "{path}: {}", text(&answer));
        answer
    }
}

/// A query of `/pyroscope/render` and its like, escaped.
fn escaped(query: &str) -> String {
    query
        .bytes()
        .map(|c| if c.is_ascii_alphanumeric() { char::from(c).to_string() } else { format!("%{c:02X}") })
        .collect()
}

#[test]
fn services_and_filters_are_listed() {
    let shop = Shop::open();
    let (start, end) = (shop.from(), shop.until());
    let all = json!({"start": start, "end": end, "labelNames": ["service_name", "__profile_type__"], "matchers": []});
    let series = shop.querier("Series", &all);
    let expected = json!([{"labels": [
        {"name": "__profile_type__", "value": CPU},
        {"name": "service_name", "value": "shop"},
    ]}]);
    assert_eq!(series["labelsSet"], expected);

    let matchers = [format!(r#"{{__profile_type__="{CPU}", service_name="shop"}}"#)];
    let names = shop.querier("LabelNames", &json!({"matchers": matchers, "start": start, "end": end}));
    for name in ["region", "k8s.pod", "__profile_type__"] {
        assert!(names["names"].as_array().expect("names").contains(&json!(name)), "{names}");
    }
    let of = |name: &str| json!({"name": name, "matchers": matchers, "start": start, "end": end});
    assert_eq!(shop.querier("LabelValues", &of("k8s.pod")), json!({"names": ["shop-1"]}));
    assert_eq!(shop.querier("LabelValues", &of("nothing")), json!({}));
}

#[test]
fn the_diff_flame_graph_takes_times_in_milliseconds() {
    let shop = Shop::open();
    let query = escaped(&format!(r#"{CPU}{{service_name="shop"}}"#));
    let (from, until, before) = (shop.from(), shop.until(), shop.from() - 3_600_000);
    let answer = shop.get(&format!(
        "/pyroscope/render-diff?leftQuery={query}&leftFrom={before}&leftUntil={from}\
         &rightQuery={query}&rightFrom={from}&rightUntil={until}&max-nodes=16384"
    ));
    let diff: Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert_eq!(diff["metadata"]["format"], "double");
    assert_eq!((&diff["leftTicks"], &diff["rightTicks"]), (&json!(0), &json!(35 * SAMPLE_NANOS)));
    let flame = &diff["flamebearer"];
    assert_eq!(flame["names"][0], "total");
    let levels = flame["levels"].as_array().expect("levels");
    assert_eq!(levels.len(), 3);
    for level in levels {
        assert_eq!(level.as_array().expect("a level").len() % 7, 0, "{level}");
    }
    assert_eq!(levels[0], json!([0, 0, 0, 0, 35 * SAMPLE_NANOS, 0, 0]));
}

#[test]
fn the_diff_without_data_is_one_node() {
    let shop = Shop::open();
    let query = escaped(&format!(r#"{CPU}{{service_name="nothing"}}"#));
    let (from, until) = (shop.from(), shop.until());
    let answer = shop.get(&format!(
        "/pyroscope/render-diff?leftQuery={query}&leftFrom={from}&leftUntil={until}\
         &rightQuery={query}&rightFrom={from}&rightUntil={until}"
    ));
    let diff: Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert_eq!(diff["flamebearer"]["levels"], json!([[0, 0, 0, 0, 0, 0, 0]]));
}

#[test]
fn the_assistant_gets_a_graph_in_dot() {
    let shop = Shop::open();
    let query = escaped(&format!(r#"{CPU}{{service_name="shop"}}"#));
    let (from, until) = (shop.from(), shop.until());
    let answer =
        shop.get(&format!("/pyroscope/render?format=dot&query={query}&from={from}&until={until}&max-nodes=100"));
    assert!(answer.headers()["content-type"].to_str().expect("text").starts_with("text/plain"));
    let dot = text(&answer);
    assert!(dot.starts_with("digraph ") && dot.contains("work"), "{dot}");
}

#[test]
fn a_pprof_is_downloaded_as_it_is() {
    let shop = Shop::open();
    let body = [
        field(1, CPU.as_bytes()),
        field(2, br#"{service_name="shop"}"#),
        number(3, shop.from() as u64),
        number(4, shop.until() as u64),
    ];
    let path = "/querier.v1.QuerierService/SelectMergeProfile";
    let answer = shop.proxied("POST", path, &["Content-Type: application/proto"], &body.concat());
    assert_eq!(answer.status(), 200, "{}", text(&answer));
    let profile = Profile::decode(answer.body().as_slice()).expect("a pprof");
    assert_eq!(profile.sample.iter().flat_map(|sample| &sample.value).sum::<i64>(), 35 * SAMPLE_NANOS);
    assert!(profile.string_table.iter().any(|name| name == "work"));
}

#[test]
fn details_of_a_function_are_asked_with_both_spellings_of_names() {
    let shop = Shop::open();
    let answer = shop.querier(
        "SelectMergeProfile",
        &json!({
            "profile_typeID": CPU,
            "label_selector": r#"{service_name="shop"}"#,
            "start": shop.from(),
            "end": shop.until(),
            "stackTraceSelector": {"call_site": [{"name": "main"}, {"name": "work"}]},
            "maxNodes": 500,
        }),
    );
    assert_eq!(answer["sample"].as_array().expect("samples").len(), 1);
    assert_eq!(answer["sample"][0]["value"], json!([(30 * SAMPLE_NANOS).to_string()]), "whole numbers are text");
}

#[test]
fn formats_and_fields_from_the_future_are_ignored() {
    let shop = Shop::open();
    for extra in [
        json!({"format": "PROFILE_FORMAT_FROM_THE_FUTURE", "futureField": {"deep": [1, null]}}),
        json!({"format": 4711}),
        json!({"stackTraceSelector": {"frameFilter": {"include": ["main"], "excludeRegex": ["^runtime"]}}}),
    ] {
        let mut body = json!({
            "profileTypeID": CPU, "labelSelector": "{}", "start": shop.from(), "end": shop.until().to_string(),
            "maxNodes": 16_384, "$typeName": "querier.v1.SelectMergeStacktracesRequest",
        });
        body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        let answer = shop.querier("SelectMergeStacktraces", &body);
        assert_eq!(answer["flamegraph"]["total"], json!((35 * SAMPLE_NANOS).to_string()), "{body}");
        let both = shop.querier("Diff", &json!({"left": body, "right": body}));
        assert_eq!(both["flamegraph"]["leftTicks"], json!((35 * SAMPLE_NANOS).to_string()), "{body}");
    }
}

#[test]
fn functions_and_sandwiches_are_tables_or_at_least_a_flame_graph() {
    let shop = Shop::open();
    for format in ["PROFILE_FORMAT_FUNCTIONS", "PROFILE_FORMAT_SANDWICH"] {
        let query = json!({
            "profileTypeID": CPU, "labelSelector": "{}", "start": shop.from(), "end": shop.until(),
            "format": format, "sandwichFunction": "work",
        });
        let answer = shop.querier("SelectMergeStacktraces", &query);
        assert_eq!(answer.as_object().expect("an object").len(), 1, "{format}: {answer}");
        let both = shop.querier("Diff", &json!({"left": query, "right": query, "format": format}));
        assert!(both.as_object().is_some_and(|answer| !answer.is_empty()), "{format}: {both}");
    }
}

#[test]
fn what_surrounds_the_graphs_is_answered() {
    let shop = Shop::open();
    let query = format!(r#"{CPU}{{service_name="shop"}}"#);
    shop.querier("AnalyzeQuery", &json!({"start": shop.from(), "end": shop.until(), "query": query}));
    assert_eq!(shop.querier("GetProfileStats", &json!({}))["dataIngested"], json!(true));
    shop.post("capabilities.v1.FeatureFlagsService/GetFeatureFlags", &json!({}));

    assert_eq!(shop.post("settings.v1.SettingsService/Get", &json!({})), json!({}));
    let setting = json!({"name": "pluginSettings", "value": "{\"maxNodes\":1}", "modifiedAt": shop.at.to_string()});
    assert_eq!(shop.post("settings.v1.SettingsService/Set", &json!({"setting": setting})), json!({"setting": setting}));
    assert_eq!(shop.post("settings.v1.SettingsService/Get", &json!({})), json!({"settings": [setting]}));

    for (method, status) in [
        ("settings.v1.RecordingRulesService/ListRecordingRules", 404),
        ("vcs.v1.VCSService/GithubApp", 501),
        ("vcs.v1.VCSService/GithubLogin", 501),
        ("vcs.v1.VCSService/GetFile", 501),
        ("vcs.v1.VCSService/GetCommits", 501),
    ] {
        let answer = shop.fetch(method, "{}", WITH_UTF8_NAMES);
        assert_eq!(answer.status(), status, "{method}: {}", text(&answer));
    }
}
