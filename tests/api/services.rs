//! The services beside queries: what is off says so as clients expect it, and recording rules are kept.

use flamestore_clock::{Clock, SystemClock};
use flamestore_pprof::encode::Writer;
use flamestore_pprof::profile::{Mapping, StrRef};
use flamestore_proto::debuginfo::v1alpha1::{ShouldInitiateUploadRequest, ShouldInitiateUploadResponse};
use flamestore_tests::Server;
use flamestore_tests::client::Client;
use flamestore_tests::rpc::Rpc;
use serde_json::{Value, json};

/// Status and body of a Connect call.
fn ask(client: &Client, method: &str, body: &Value) -> (u16, Value) {
    let body = body.to_string();
    let (status, text) =
        client.post(&format!("/{method}"), "application/json", &[], body.as_bytes()).expect("an answer");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[test]
fn agents_are_told_not_to_upload_debug_information() {
    let server = Server::start(&["-auth.multitenancy-enabled=true"]);
    let client = server.client().tenant("a");
    const SERVICE: &str = "debuginfo.v1alpha1.DebuginfoService";
    let file = json!({ "file": { "gnuBuildId": "deadbeef", "type": "TYPE_EXECUTABLE_FULL" } });
    let (status, answer) = ask(&client, &format!("{SERVICE}/ShouldInitiateUpload"), &file);
    assert_eq!((status, &answer), (200, &json!({ "reason": "DebugInfo upload disabled" })));
    assert_eq!(ask(&client, &format!("{SERVICE}/ListDebuginfo"), &json!({})), (200, json!({})));
    for method in ["UploadFinished", "DeleteDebuginfo"] {
        let method = format!("{SERVICE}/{method}");
        let (status, answer) = ask(&client, &method, &json!({ "gnuBuildId": "deadbeef" }));
        assert_eq!((status, &answer["code"]), (404, &json!("not_found")), "{method}");
        assert_eq!(ask(&client, &method, &json!({ "gnuBuildId": "nope!" })).0, 400, "{method}");
    }
    let upload = |client: &Client, id: &str| {
        let path = format!("/{SERVICE}/Upload/{id}");
        client.post(&path, "application/octet-stream", &[], &[0x7f; 1 << 20]).expect("an answer").0
    };
    assert_eq!(upload(&client, "deadbeef"), 412);
    assert_eq!(upload(&client, "nope"), 400);
    assert_eq!(upload(&server.client(), "deadbeef"), 401);
    let (status, answer) = ask(&server.client(), &format!("{SERVICE}/ShouldInitiateUpload"), &file);
    assert_eq!((status, &answer["code"]), (401, &json!("unauthenticated")));
}

#[test]
fn debug_information_is_declined_over_every_protocol() {
    let server = Server::start(&[]);
    for rpc in Rpc::all(&server) {
        let answer: ShouldInitiateUploadResponse = rpc.call(
            "debuginfo.v1alpha1.DebuginfoService/ShouldInitiateUpload",
            ("debuginfo.v1alpha1.ShouldInitiateUploadRequest", "debuginfo.v1alpha1.ShouldInitiateUploadResponse"),
            ShouldInitiateUploadRequest::default(),
        );
        assert!(!answer.should_initiate_upload, "{}", rpc.name());
        assert_eq!(answer.reason, "DebugInfo upload disabled", "{}", rpc.name());
    }
}

#[test]
fn native_frames_are_shown_by_binary_and_address() {
    let server = Server::start(&[]);
    let now = SystemClock::default().now_nanos();
    let mut writer = Writer::new();
    writer.sample_type("cpu", "nanoseconds");
    writer.period("cpu", "nanoseconds", 1);
    writer.time_nanos(now);
    let (file, build) = (writer.string("/usr/lib/libssl.so.3"), writer.string("abc"));
    let (filename, build_id) = (StrRef::default(), StrRef::default());
    let mapping = Mapping { memory_start: 0x1000, memory_limit: 0x9000, file_offset: 0, filename, build_id, flags: 0 };
    let mapping = writer.mapping(&mapping, file, build);
    let native = writer.location(mapping, 0x1f00, &[], false);
    let main = writer.frame("main");
    writer.sample(&[native, main], &[5], &[]);
    let pushed =
        server.client().post("/ingest?name=native&format=pprof", "application/octet-stream", &[], &writer.finish());
    assert_eq!(pushed.expect("an answer").0, 200);
    let now = now / 1_000_000_000;
    let seen = server.client().cpu("{service_name=\"native\"}", now - 60, now + 60);
    let native: Vec<_> = seen.self_values.into_iter().filter(|(_, value)| *value > 0).collect();
    assert_eq!(native.len(), 1, "{native:?}");
    assert!(native[0].0.starts_with("libssl.so.3+0x") && native[0].1 == 5, "{native:?}");
}

#[test]
fn source_code_is_not_fetched_and_every_call_says_so() {
    let server = Server::start(&["-auth.multitenancy-enabled=true"]);
    for method in ["GithubApp", "GithubLogin", "GithubRefresh", "GetFile", "GetCommit", "GetCommits"] {
        let method = format!("vcs.v1.VCSService/{method}");
        let (status, answer) = ask(&server.client().tenant("a"), &method, &json!({}));
        assert_eq!((status, &answer["code"]), (501, &json!("unimplemented")), "{method}");
        assert_eq!(ask(&server.client(), &method, &json!({})).0, 401, "{method}");
    }
}

/// Whether the feature flags say that rules can be kept.
fn rules_flag(client: &Client) -> bool {
    let flags = client.call("capabilities.v1.FeatureFlagsService/GetFeatureFlags", &json!({}));
    let flags = flags["featureFlags"].as_array().expect("flags").clone();
    let of_rules = flags.iter().find(|flag| flag["name"] == "pyroscopeRuler").expect("the flag");
    of_rules["enabled"] == true
}

const RULES: &str = "settings.v1.RecordingRulesService";

#[test]
fn recording_rules_are_absent_unless_they_are_switched_on() {
    let server = Server::start(&[]);
    assert!(!rules_flag(&server.client()));
    for method in ["ListRecordingRules", "GetRecordingRule", "UpsertRecordingRule", "DeleteRecordingRule"] {
        assert_eq!(ask(&server.client(), &format!("{RULES}/{method}"), &json!({})).0, 404, "{method}");
    }
}

#[test]
fn recording_rules_are_kept_over_a_restart_and_changed_in_turn() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let provisioned = json!([{
        "id": "fromfile", "metric_name": "profiles_recorded_from_file",
        "matchers": ["{__profile_type__=\"memory:inuse_space:bytes:space:bytes\"}"],
    }]);
    let overrides =
        json!({ "overrides": { "anonymous": { "recording_rules": provisioned, "max_recording_rules": 1 } } });
    std::fs::write(file.path(), overrides.to_string()).expect("the file is written");
    let runtime = format!("-runtime-config.file={}", file.path().display());
    let mut server = Server::start(&["-tenant-settings.recording-rules.enabled=true", &runtime]);
    assert!(rules_flag(&server.client()));
    let upsert = format!("{RULES}/UpsertRecordingRule");
    let rule = json!({
        "metricName": "profiles_recorded_cpu", "groupBy": ["pod"],
        "matchers": ["{__profile_type__=\"process_cpu:cpu:nanoseconds:cpu:nanoseconds\", service_name=\"x\"}"],
        "externalLabels": [{ "name": "source", "value": "test" }],
        "stacktraceFilter": { "functionName": { "functionName": "main.work" } },
    });
    let made = server.client().call(&upsert, &rule)["rule"].clone();
    assert_eq!(made["generation"], "1", "{made}");
    assert_eq!(made["profileType"], "process_cpu:cpu:nanoseconds:cpu:nanoseconds", "{made}");

    server.stop();
    server.start_again();
    let client = server.client();
    let listed = client.call(&format!("{RULES}/ListRecordingRules"), &json!({}));
    let listed = listed["rules"].as_array().expect("rules").clone();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!((&listed[0]["id"], &listed[0]["provisioned"]), (&json!("fromfile"), &json!(true)));
    assert_eq!(listed[1], made);
    let id = json!({ "id": made["id"] });
    assert_eq!(client.call(&format!("{RULES}/GetRecordingRule"), &id)["rule"], made);

    let (status, answer) = ask(&client, &upsert, &rule);
    assert_eq!((status, &answer["code"]), (429, &json!("resource_exhausted")), "{answer}");
    let mut stale = rule.clone();
    stale["id"] = made["id"].clone();
    assert_eq!(ask(&client, &upsert, &stale).0, 409);
    let (status, answer) = ask(&client, &upsert, &json!({ "metricName": "cpu" }));
    assert_eq!(status, 400);
    assert!(
        answer["message"].as_str().is_some_and(|m| m.contains("invalid request") && m.contains("__profile_type__"))
    );
    assert_eq!(ask(&client, &format!("{RULES}/DeleteRecordingRule"), &json!({ "id": "fromfile" })).0, 400);
    assert_eq!(ask(&client, &format!("{RULES}/DeleteRecordingRule"), &id), (200, json!({})));
    assert_eq!(ask(&client, &format!("{RULES}/DeleteRecordingRule"), &id).0, 404);
    assert_eq!(ask(&client, &format!("{RULES}/GetRecordingRule"), &id).0, 404);
}
