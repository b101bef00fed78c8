//! One question to several tenants: every reading call adds up what each of them would answer.

use flamestore_clock::{Clock, SystemClock};
use flamestore_pprof::encode::{Label, Writer};
use flamestore_tests::Server;
use flamestore_tests::client::{CPU, Client};
use serde_json::{Value, json};

const QUERIER: &str = "querier.v1.QuerierService";
/// Of the profile of each tenant.
const VALUES: [(&str, i64); 2] = [("fed-a", 30), ("fed-b", 12)];

fn push(client: &Client, tenant: &str, value: i64, time_nanos: i64) {
    let mut writer = Writer::new();
    writer.sample_type("cpu", "nanoseconds");
    writer.period("cpu", "nanoseconds", 1);
    writer.time_nanos(time_nanos);
    let (main, own) = (writer.frame("main"), writer.frame(tenant));
    writer.sample(&[own, main], &[value], &[Label::Text { key: "span_id", text: "00000000000000aa" }]);
    let path = format!("/ingest?name=svc{{of={tenant}}}&format=pprof");
    let path = path.replace('{', "%7B").replace('}', "%7D");
    assert_eq!(client.post(&path, "application/octet-stream", &[], &writer.finish()).expect("an answer").0, 200);
}

struct Fed {
    server: Server,
    now: i64,
}

impl Fed {
    fn start() -> Fed {
        let server = Server::start(&["-auth.multitenancy-enabled=true"]);
        let now = SystemClock::default().now_nanos() / 1_000_000_000;
        let fed = Fed { server, now };
        for (tenant, value) in VALUES {
            push(&fed.of(tenant), tenant, value, now * 1_000_000_000);
        }
        fed
    }

    fn of(&self, tenant: &str) -> Client {
        self.server.client().tenant(tenant)
    }

    fn ask(&self, tenant: &str, method: &str, more: &Value) -> Value {
        let mut body = json!({
            "start": (self.now - 600) * 1000, "end": (self.now + 60) * 1000, "profileTypeID": CPU, "labelSelector": "{}",
        });
        for (key, value) in more.as_object().expect("fields") {
            body[key] = value.clone();
        }
        self.of(tenant).call(&format!("{QUERIER}/{method}"), &body)
    }

    /// What `number` finds in the answers to the first tenant, the second, both, and both said differently.
    fn sums(&self, method: &str, more: &Value, number: impl Fn(&Value) -> i64) {
        let [a, b, both, twice] =
            ["fed-a", "fed-b", "fed-a|fed-b", "fed-b|fed-a|fed-b"].map(|t| number(&self.ask(t, method, more)));
        assert!(a > 0 && b > 0, "{method} {more}: {a} and {b}");
        assert_eq!((both, twice), (a + b, a + b), "{method} {more}");
    }
}

fn int(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok())).unwrap_or(0)
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn values_add_up_over_tenants_in_every_reading_call() {
    let fed = Fed::start();
    let total = |answer: &Value| int(&answer["flamegraph"]["total"]);
    fed.sums("SelectMergeStacktraces", &json!({}), total);
    fed.sums("SelectMergeSpanProfile", &json!({ "spanSelector": ["00000000000000aa"] }), total);
    let pprof = |profile: &Value| array(&profile["sample"]).iter().map(|s| int(&s["value"][0])).sum();
    fed.sums("SelectMergeProfile", &json!({}), pprof);
    fed.sums("SelectMergeStacktraces", &json!({ "format": "PROFILE_FORMAT_PPROF" }), |a| pprof(&a["pprof"]["profile"]));
    fed.sums("SelectMergeStacktraces", &json!({ "format": "PROFILE_FORMAT_FUNCTIONS" }), |a| {
        int(&a["functions"]["total"])
    });
    let points = |answer: &Value| {
        let points = array(&answer["series"]).iter().flat_map(|s| array(&s["points"]));
        points.map(|p| p["value"].as_f64().expect("a value") as i64).sum()
    };
    fed.sums("SelectSeries", &json!({ "step": 60 }), points);
    fed.sums("SelectSeries", &json!({ "step": 60, "groupBy": ["of"] }), points);
    let counted = |answer: &Value| {
        let slots = array(&answer["series"]).iter().flat_map(|s| array(&s["slots"]));
        slots.flat_map(|slot| array(&slot["counts"])).map(int).sum()
    };
    for query_type in ["HEATMAP_QUERY_TYPE_INDIVIDUAL", "HEATMAP_QUERY_TYPE_SPAN"] {
        fed.sums("SelectHeatmap", &json!({ "step": 60, "queryType": query_type }), counted);
    }
    let side = json!({
        "start": (fed.now - 600) * 1000, "end": (fed.now + 60) * 1000, "profileTypeID": CPU, "labelSelector": "{}",
    });
    fed.sums("Diff", &json!({ "left": side, "right": side }), |a| int(&a["flamegraph"]["leftTicks"]));
    fed.sums("AnalyzeQuery", &json!({ "query": "{}" }), |a| {
        array(&a["queryScopes"]).iter().map(|scope| int(&scope["profileCount"])).sum()
    });
    fed.sums("Series", &json!({ "labelNames": ["of"] }), |a| array(&a["labelsSet"]).len() as i64);
    fed.sums("LabelValues", &json!({ "name": "of" }), |a| array(&a["names"]).len() as i64);
    let both = fed.ask("fed-a|fed-b", "LabelNames", &json!({}));
    assert_eq!(both, fed.ask("fed-a", "LabelNames", &json!({})));
    let types = fed.ask("fed-a|fed-b", "ProfileTypes", &json!({}));
    assert_eq!(types, fed.ask("fed-a", "ProfileTypes", &json!({})));
    assert_eq!(array(&types["profileTypes"]).len(), 1, "{types}");
}

#[test]
fn render_pages_add_up_over_tenants() {
    let fed = Fed::start();
    let (from, until) = ((fed.now - 600) * 1000, (fed.now + 60) * 1000);
    let query = format!("{CPU}%7B%7D");
    let pages = [
        (format!("/pyroscope/render?query={query}&from={from}&until={until}"), "/flamebearer/numTicks"),
        (
            format!(
                "/pyroscope/render-diff?leftQuery={query}&leftFrom={from}&leftUntil={until}\
                 &rightQuery={query}&rightFrom={from}&rightUntil={until}"
            ),
            "/leftTicks",
        ),
    ];
    for (page, number) in pages {
        let ticks = |tenant: &str| {
            let text = fed.of(tenant).get(&page).expect("a page");
            serde_json::from_str::<Value>(&text).expect("JSON").pointer(number).map(int)
        };
        assert_eq!((ticks("fed-a"), ticks("fed-b")), (Some(30), Some(12)), "{page}");
        assert_eq!(ticks("fed-a|fed-b"), Some(42), "{page}");
    }
    let values = fed.of("fed-a|fed-b").get("/pyroscope/label-values?label=of").expect("a page");
    assert_eq!(serde_json::from_str::<Value>(&values).expect("JSON"), json!(["fed-a", "fed-b"]));
}

#[test]
fn each_of_several_tenants_keeps_its_own_retention() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("runtime.yaml");
    std::fs::write(&file, "overrides:\n  fed-a:\n    compactor_blocks_retention_period: 1h\n").expect("a file");
    let server = Server::start(&[
        "-auth.multitenancy-enabled=true",
        "-validation.reject-older-than=0",
        "-runtime-config.file",
        file.to_str().expect("a path"),
    ]);
    let fed = Fed { server, now: SystemClock::default().now_nanos() / 1_000_000_000 };
    for (tenant, value) in VALUES {
        push(&fed.of(tenant), tenant, value, (fed.now - 2 * 3600) * 1_000_000_000);
        push(&fed.of(tenant), tenant, 100 * value, fed.now * 1_000_000_000);
    }
    let hours = json!({ "start": (fed.now - 4 * 3600) * 1000 });
    let total = |tenant: &str| int(&fed.ask(tenant, "SelectMergeStacktraces", &hours)["flamegraph"]["total"]);
    assert_eq!((total("fed-a"), total("fed-b")), (3000, 1212));
    assert_eq!((total("fed-a|fed-b"), total("fed-b|fed-a")), (4212, 4212));
}

#[test]
fn what_belongs_to_one_tenant_is_not_asked_of_several() {
    let fed = Fed::start();
    let both = fed.of("fed-a|fed-b");
    let status = |method: &str| both.post(&format!("/{method}"), "application/json", &[], b"{}").expect("an answer").0;
    for method in [
        "querier.v1.QuerierService/GetProfileStats",
        "settings.v1.SettingsService/Get",
        "settings.v1.SettingsService/Set",
        "adhocprofiles.v1.AdHocProfileService/List",
        "adhocprofiles.v1.AdHocProfileService/Upload",
        "debuginfo.v1alpha1.DebuginfoService/ListDebuginfo",
        "vcs.v1.VCSService/GithubApp",
    ] {
        assert_eq!(status(method), 400, "{method}");
    }
    let push = br#"{"series":[{"labels":[{"name":"__name__","value":"x"}],"samples":[{"rawProfile":"AA=="}]}]}"#;
    let pushed = both.post("/push.v1.PusherService/Push", "application/json", &[], push).expect("an answer");
    assert_eq!(pushed.0, 401, "{}", pushed.1);
    let pushed = both.push_folded("x", fed.now, "a 1\n").expect("an answer");
    assert_eq!(pushed.0, 401, "{}", pushed.1);
    let otlp = both.post("/v1development/profiles", "application/x-protobuf", &[], b"").expect("an answer");
    assert_eq!(otlp.0, 401, "{}", otlp.1);
}
