//! Faults and tenants, as every protocol tells them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use flamestore_proto::settings::v1::settings_service_server::SettingsServiceServer;
use flamestore_rpc::{Intake, Router};
use http::Method;
use prost::Message;
use tonic::service::Routes;

use super::support::{PUSH, SET, Settings, ask, front, post_json, pushed};

#[tokio::test]
async fn every_kind_of_fault_in_every_protocol() {
    let front = front(false, Arc::default());
    for (kind, word, connect, grpc, plain) in [
        ("Invalid", "invalid_argument", 400, 3, 400),
        ("Unprocessable", "invalid_argument", 400, 3, 422),
        ("TooLarge", "resource_exhausted", 429, 8, 413),
        ("Unauthenticated", "unauthenticated", 401, 16, 401),
        ("Forbidden", "permission_denied", 403, 7, 403),
        ("NotFound", "not_found", 404, 5, 404),
        ("Conflict", "already_exists", 409, 6, 409),
        ("Limited", "resource_exhausted", 429, 8, 429),
        ("Unimplemented", "unimplemented", 501, 12, 501),
        ("Unavailable", "unavailable", 503, 14, 503),
        ("TimedOut", "deadline_exceeded", 504, 4, 504),
        ("Cancelled", "canceled", 499, 1, 499),
        ("Corrupt", "data_loss", 500, 15, 500),
        ("Internal", "internal", 500, 13, 500),
    ] {
        let again = matches!(kind, "Limited" | "Unavailable");
        let message = pushed(&[("fail", kind)], vec![]).encode_to_vec();
        for headers in [[("content-type", "application/proto")], [("content-type", "application/json")]] {
            let json = format!(r#"{{"series":[{{"labels":[{{"name":"fail","value":"{kind}"}}]}}]}}"#).into_bytes();
            let body = if headers[0].1.ends_with("json") { json } else { message.clone() };
            let answer = ask(&front, Method::POST, PUSH, &headers, body).await;
            assert_eq!(answer.code(), (connect, word.to_owned()), "{kind}");
            assert!(answer.text().ends_with(r#""message":"as you asked \u003c\u0026\u003e"}"#), "{}", answer.text());
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.headers.contains_key("retry-after"), again, "{kind}");
        }
        let framed = [&[0][..], &(message.len() as u32).to_be_bytes(), &message].concat();
        let answer = ask(&front, Method::POST, PUSH, &[("content-type", "application/grpc")], framed.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.header("grpc-status")), (200, grpc.to_string().as_str()), "{kind}");
        let answer = ask(&front, Method::POST, PUSH, &[("content-type", "application/grpc-web")], framed).await;
        let trailers = format!("grpc-status:{grpc}\r\n");
        let told = answer.header("grpc-status") == grpc.to_string()
            || String::from_utf8_lossy(&answer.body).contains(&trailers);
        assert!(told && answer.status == 200, "{kind}: {:?} {:?}", answer.headers, answer.body);

        let answer = ask(&front, Method::GET, &format!("/fail/{kind}"), &[], "").await;
        let word = if kind == "Unprocessable" { "unknown" } else { word };
        assert_eq!(answer.code(), (plain, word.to_owned()), "{kind}");
        assert_eq!((answer.header("x-content-type-options"), answer.text().ends_with("}\n")), ("nosniff", true));
        assert_eq!(answer.headers.contains_key("retry-after"), again, "{kind}");
    }
}

#[tokio::test]
async fn a_body_that_finds_no_room_is_refused_under_the_same_id_in_every_protocol() {
    let routes = Routes::new(SettingsServiceServer::new(Settings));
    let front = Router::new(routes).intake(Intake::new(1, Duration::from_millis(5))).build().unwrap();
    let field = [&[0x7a, 0xf4, 0x93, 0x04][..], &vec![b'x'; 0x109f4]].concat();
    let framed = [&[0][..], &(field.len() as u32).to_be_bytes(), &field].concat();
    let proto = ("content-type", "application/proto");
    // It holds all the room, and is never answered.
    let (waiting, body) = (front.clone(), field.clone());
    let holds = tokio::spawn(async move {
        ask(&waiting, Method::POST, "/settings.v1.SettingsService/Get", &[proto], body).await.status
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    let text = base64::engine::general_purpose::STANDARD.encode(&framed).into_bytes();
    for (kind, body) in [
        ("application/proto", field.clone()),
        ("application/json", [&b"{\"x\":\""[..], &vec![b'x'; 70_000], b"\"}"].concat()),
        ("application/grpc", framed.clone()),
        ("application/grpc-web", framed.clone()),
        ("application/grpc-web-text", text),
    ] {
        let answer = ask(&front, Method::POST, SET, &[("content-type", kind)], body).await;
        assert_eq!((answer.header("x-flamestore-error"), answer.header("retry-after")), ("memory-full", "1"), "{kind}");
        let expected = if kind.contains("grpc") { ("14", 200) } else { ("", 503) };
        assert_eq!((answer.header("grpc-status"), answer.status.as_u16()), expected, "{kind}");
    }
    holds.abort();
}

#[tokio::test]
async fn a_grpc_web_body_that_is_not_what_it_says_is_a_mistake_of_its_sender() {
    let front = front(false, Arc::default());
    let answer = ask(&front, Method::POST, SET, &[("content-type", "application/grpc-web-text")], "!!!!!!!!").await;
    assert_eq!((answer.header("grpc-status"), answer.header("x-flamestore-error")), ("3", "invalid-request"));
}

#[tokio::test]
async fn tenants_are_the_same_in_every_protocol() {
    let front = front(true, Arc::default());
    let json = ("content-type", "application/json");
    let push = async |org: Option<&'static str>| {
        let mut headers = vec![json];
        headers.extend(org.map(|org| ("X-Scope-OrgID", org)));
        let answer = ask(&front, Method::POST, PUSH, &headers, "{}").await;
        (answer.status.as_u16(), answer.header("x-tenant").to_owned(), answer.text())
    };
    let refused = r#"{"code":"unauthenticated","message":"no org id"}"#;
    assert_eq!(push(None).await, (401, String::new(), refused.into()));
    assert_eq!(push(Some("")).await, (401, String::new(), refused.into()));
    assert_eq!(push(Some("a")).await, (200, "a".into(), "{}".into()));
    assert_eq!(push(Some("a|a")).await.0, 200);
    for bad in ["a|b", "a|", "a/b", "a b", ".", ".."] {
        assert_eq!(push(Some(bad)).await.0, 401, "{bad}");
    }
    let delete = "/settings.v1.SettingsService/Delete";
    let answer = ask(&front, Method::POST, delete, &[json, ("x-scope-orgid", "a|b")], "{}").await;
    assert_eq!(answer.code(), (400, "invalid_argument".into()));

    for kind in ["application/grpc", "application/grpc-web+proto"] {
        let answer = ask(&front, Method::POST, PUSH, &[("content-type", kind)], vec![0; 5]).await;
        let told = answer.header("grpc-status") == "16" || String::from_utf8_lossy(&answer.body).contains("status:16");
        assert!(told, "{kind}: {:?} {:?}", answer.headers, answer.body);
    }
    let who = async |headers: &[(&str, &str)]| {
        let answer = ask(&front, Method::GET, "/whoami", headers, "").await;
        (answer.status.as_u16(), answer.text())
    };
    assert_eq!(who(&[]).await, (401, format!("{refused}\n")));
    assert_eq!(who(&[("x-scope-orgid", "b|a|b")]).await, (200, r#"["a", "b"]"#.into()));
    assert_eq!(who(&[("x-scope-orgid", "a|")]).await, (200, r#"["a"]"#.into()));

    let version = post_json(&front, "/version.v1.Version/Version", "{}").await;
    assert_eq!(version.text(), r#"{"QuerierAPI":"1"}"#);
    assert_eq!(post_json(&front, SET, "{").await.code().0, 401);
}
