//! The JSON mapping: a table of what callers send, and prost-reflect as a second opinion.

use flamestore_proto::DESCRIPTOR_SET;
use flamestore_proto::{debuginfo, google, querier, types};
use flamestore_rpc::json::{Schema, Unknown};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};

fn schema() -> (Schema, DescriptorPool) {
    Schema::from_descriptor_sets(&[DESCRIPTOR_SET]).unwrap()
}

fn read<M: Message + Default>(name: &str, json: &str) -> Result<M, String> {
    let (schema, _) = schema();
    let mut wire = Vec::new();
    let index = schema.find(name).unwrap();
    schema.read(index, json.as_bytes(), Unknown::Skip, &mut wire).map_err(|f| f.to_string())?;
    Ok(M::decode(&wire[..]).unwrap())
}

fn query(json: &str) -> Result<querier::v1::SelectMergeStacktracesRequest, String> {
    read("querier.v1.SelectMergeStacktracesRequest", json)
}

#[test]
fn what_callers_send_is_understood() {
    for (json, start) in [
        (r#"{"start":5}"#, 5),
        (r#"{"start":"5"}"#, 5),
        (r#"{"start":2.0}"#, 2),
        (r#"{"start":"2.0"}"#, 2),
        (r#"{"start":1.7e12}"#, 1_700_000_000_000),
        (r#"{"start":-3}"#, -3),
        (r#"{"start":"9223372036854775807"}"#, i64::MAX),
        (r#"{"start":-9223372036854775808}"#, i64::MIN),
        (r#"{"start":null}"#, 0),
        (r#"{"$typeName":"x","start":1,"nested":{"a":[1,{"b":null}]}}"#, 1),
        (" { \"start\" : 1 }\n", 1),
        (r#"{"st\u0061rt":1}"#, 1),
    ] {
        assert_eq!(query(json).map(|q| q.start), Ok(start), "{json}");
    }
    for bad in [
        r#"{"start":2.5}"#,
        r#"{"start":"abc"}"#,
        r#"{"start":""}"#,
        r#"{"start":" 5"}"#,
        r#"{"start":"+5"}"#,
        r#"{"start":"inf"}"#,
        r#"{"start":9223372036854775808}"#,
        r#"{"start":1e30}"#,
        r#"{"start":true}"#,
        r#"{"start":[1]}"#,
        r#"{"start":{}}"#,
        r#"{"start":1,"start":2}"#,
        r#"{"maxNodes":1,"max_nodes":1}"#,
        r#"{"labelSelector":5}"#,
        r#"{"spanSelector":"x"}"#,
        r#"{"spanSelector":[null]}"#,
        r#"{"stackTraceSelector":[]}"#,
        r#"{"format":true}"#,
        "",
        "{",
        "[]",
        "null",
        "{}{}",
        "{} x",
        "5",
    ] {
        assert!(query(bad).is_err(), "{bad}");
    }
}

#[test]
fn both_spellings_and_all_shapes_are_read() {
    let json = r#"{"profile_typeID":"a","labelSelector":"{}","max_nodes":"0","format":"PROFILE_FORMAT_TREE",
        "stack_trace_selector":{"callSite":[{"name":"x"},{}],"go_pgo":{"keepLocations":5,"aggregateCallees":true}},
        "spanSelector":["1","2"],"async":null}"#;
    let q = query(json).unwrap();
    assert_eq!((q.profile_type_id.as_str(), q.max_nodes, q.format), ("a", Some(0), 2));
    let selector = q.stack_trace_selector.unwrap();
    assert_eq!((selector.call_site.len(), selector.go_pgo.unwrap().keep_locations), (2, 5));
    assert_eq!((q.span_selector.len(), q.r#async), (2, None));

    let step = |text: &str| {
        read::<querier::v1::SelectSeriesRequest>("querier.v1.SelectSeriesRequest", &format!("{{\"step\":{text}}}"))
            .map(|s| s.step)
    };
    assert_eq!(step("15"), Ok(15.0));
    assert_eq!(step("\"1.5\""), Ok(1.5));
    assert!(step("\"NaN\"").unwrap().is_nan());
    assert_eq!(step("\"-Infinity\""), Ok(f64::NEG_INFINITY));
    assert!(step("\"infinity\"").is_err());
}

#[test]
fn unknown_enum_values_become_zero() {
    for (json, want) in [
        (r#"{"format":"PROFILE_FORMAT_OF_TOMORROW"}"#, 0),
        (r#"{"format":99}"#, 0),
        (r#"{"format":3}"#, 3),
        (r#"{"format":"PROFILE_FORMAT_PPROF"}"#, 4),
        (r#"{"format":"PROFILE_FORMAT_SANDWICH"}"#, 1001),
    ] {
        assert_eq!(query(json).unwrap().format() as i32, want, "{json}");
    }
}

#[test]
fn bytes_come_in_either_base64() {
    for text in ["+/8=", "-_8=", "+/8", "-_8"] {
        let json = format!(r#"{{"rawProfile":"{text}"}}"#);
        let sample: flamestore_proto::push::v1::RawSample = read("push.v1.RawSample", &json).unwrap();
        assert_eq!(&sample.raw_profile[..], [0xfb, 0xff], "{text}");
    }
    assert!(read::<flamestore_proto::push::v1::RawSample>("push.v1.RawSample", r#"{"rawProfile":"*"}"#).is_err());
}

#[test]
fn one_of_several_is_one() {
    type Value = flamestore_proto::opentelemetry::proto::common::v1::AnyValue;
    let read = |json: &str| read::<Value>("opentelemetry.proto.common.v1.AnyValue", json);
    assert!(read(r#"{"stringValue":"x","intValue":1}"#).is_err());
    assert!(read(r#"{"stringValue":"x","intValue":null}"#).is_ok());
}

#[test]
fn a_strict_reader_names_what_it_does_not_know() {
    let (schema, _) = schema();
    let index = schema.find("querier.v1.DiffRequest").unwrap();
    let fault = schema.read(index, br#"{"middle":{}}"#, Unknown::Refuse, &mut Vec::new()).unwrap_err();
    assert!(fault.message.contains("middle"), "{fault}");
}

#[test]
fn earlier_names_of_fields_are_taken_or_left_out() {
    let (mut schema, _) = schema();
    let message = "querier.v1.SelectMergeStacktracesRequest";
    schema.also(message, "from", Some("start")).unwrap();
    schema.also(message, "colour", None).unwrap();
    let mut wire = Vec::new();
    let json = br#"{"from":5,"colour":{"red":[1]}}"#;
    schema.read(schema.find(message).unwrap(), json, Unknown::Refuse, &mut wire).unwrap();
    assert_eq!(querier::v1::SelectMergeStacktracesRequest::decode(&wire[..]).unwrap().start, 5);
    let both = br#"{"from":5,"start":5}"#;
    assert!(schema.read(schema.find(message).unwrap(), both, Unknown::Refuse, &mut wire).is_err());
    assert!(schema.also(message, "x", Some("nothing")).is_err());
    assert!(schema.also("querier.v1.Nothing", "x", None).is_err());
}

#[test]
fn identifiers_come_in_hexadecimal_or_base64() {
    let (mut schema, _) = schema();
    let message = "opentelemetry.proto.profiles.v1development.Link";
    schema.hex(message, "span_id").unwrap();
    assert!(schema.hex(message, "nothing").is_err());
    let read = |json: &str| {
        let mut wire = Vec::new();
        schema.read(schema.find(message).unwrap(), json.as_bytes(), Unknown::Refuse, &mut wire).unwrap();
        wire
    };
    let expected = [&[0x12, 8][..], &[0xde, 0xad, 0xbe, 0xef, 0, 1, 2, 3]].concat();
    for spelling in ["deadbeef00010203", "DEADBEEF00010203", "3q2+7wABAgM="] {
        assert_eq!(read(&format!(r#"{{"spanId":"{spelling}"}}"#)), expected, "{spelling}");
    }
    assert_eq!(read(r#"{"traceId":"deadbeef00010203"}"#).len(), 14, "base64, as that field was not named");
}

/// Numbers by value: 15 is 15.0.
fn plain(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Number(n) => n.as_f64().into(),
        Value::Array(list) => list.into_iter().map(plain).collect(),
        Value::Object(map) => map.into_iter().map(|(k, v)| (k, plain(v))).collect(),
        other => other,
    }
}

/// Writes a message both ways and compares the JSON values.
fn agrees<M: Message>(name: &str, message: &M) -> String {
    let (schema, pool) = schema();
    let wire = message.encode_to_vec();
    let mut ours = Vec::new();
    schema.write(schema.find(name).unwrap(), &wire, &mut ours).unwrap();
    let theirs = DynamicMessage::decode(pool.get_message_by_name(name).unwrap(), &wire[..]).unwrap();
    let theirs = serde_json::to_value(&theirs).unwrap();
    let parsed: serde_json::Value = serde_json::from_slice(&ours).unwrap();
    assert_eq!(plain(parsed), plain(theirs.clone()), "{name}");
    let mut back = Vec::new();
    schema.read(schema.find(name).unwrap(), &ours, Unknown::Refuse, &mut back).unwrap();
    let again = DynamicMessage::decode(pool.get_message_by_name(name).unwrap(), &back[..]).unwrap();
    assert_eq!(serde_json::to_value(&again).unwrap(), theirs, "{name}");
    String::from_utf8(ours).unwrap()
}

#[test]
fn answers_read_as_a_second_writer_has_them() {
    let graph = querier::v1::FlameGraph {
        names: vec!["total".into(), "a<b>&\"\\\n\u{1}é".into()],
        levels: vec![querier::v1::Level { values: vec![0, -110, i64::MAX, i64::MIN] }, Default::default()],
        total: 110,
        max_self: 0,
    };
    let response = querier::v1::SelectMergeStacktracesResponse {
        flamegraph: Some(graph),
        tree: vec![0, 1, 2, 255].into(),
        ..Default::default()
    };
    let text = agrees("querier.v1.SelectMergeStacktracesResponse", &response);
    assert!(text.contains(r#""values":["0","-110","9223372036854775807","-9223372036854775808"]"#), "{text}");
    assert!(text.contains(r#"a\u003cb\u003e\u0026\"\\\n\u0001é"#), "{text}");

    for value in [0.5, 15.0, -2.25, 1e300, 1e-9, 123_456_789.125] {
        let point = types::v1::Point { value, timestamp: -5, ..Default::default() };
        agrees("types.v1.Point", &point);
    }
    let nan = agrees("types.v1.Point", &types::v1::Point { value: f64::NAN, ..Default::default() });
    assert_eq!(nan, r#"{"value":"NaN"}"#);
    let slot = types::v1::HeatmapSlot { y_min: vec![0.0, 1.5], counts: vec![0, -1, 7], ..Default::default() };
    agrees("types.v1.HeatmapSlot", &slot);
    let profile = google::v1::Profile {
        string_table: vec![String::new(), "cpu".into()],
        mapping: vec![google::v1::Mapping { id: u64::MAX, has_functions: true, ..Default::default() }],
        ..Default::default()
    };
    agrees("google.v1.Profile", &profile);
    let flag = flamestore_proto::capabilities::v1::FeatureFlag {
        name: "x".into(),
        enabled: false,
        description: Some(String::new()),
        documentation_url: None,
    };
    let text = agrees("capabilities.v1.FeatureFlag", &flag);
    assert_eq!(text, r#"{"name":"x","description":""}"#);
    let at = debuginfo::v1alpha1::ObjectMetadata {
        started_at: Some(prost_types::Timestamp { seconds: 1_786_000_000, nanos: 120_000_000 }),
        state: 1,
        ..Default::default()
    };
    let text = agrees("debuginfo.v1alpha1.ObjectMetadata", &at);
    assert!(text.contains("STATE_UPLOADED") && text.contains(".120Z"), "{text}");
}

#[test]
fn bad_wire_bytes_are_an_error_and_not_a_panic() {
    let (schema, _) = schema();
    let index = schema.find("querier.v1.SelectMergeStacktracesResponse").unwrap();
    let mut bits = 1u64;
    for size in 0..400usize {
        let wire: Vec<u8> = (0..size)
            .map(|_| {
                bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                // Small bytes make more tags and lengths that fit.
                (bits >> 33) as u8 & 0x2f
            })
            .collect();
        let _ = schema.write(index, &wire, &mut Vec::new());
    }
}
