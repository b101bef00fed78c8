//! No tenant sees another's data.

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::server::Server;
use serde_json::json;

#[test]
fn tenants_see_their_own_profiles_and_nothing_else() {
    let server = Server::start(&["-auth.multitenancy-enabled=true"]);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    let (a, b) = (server.client().tenant("team-a"), server.client().tenant("team-b"));
    assert_eq!(a.push_folded("shared-name", now, "main;of_a 3\n").unwrap().0, 200);
    assert_eq!(b.push_folded("shared-name", now, "main;of_b 5\n").unwrap().0, 200);
    let (seen_by_a, seen_by_b) = (a.cpu("{}", now - 60, now + 60), b.cpu("{}", now - 60, now + 60));
    assert_eq!(seen_by_a.self_values.keys().collect::<Vec<_>>(), ["of_a"]);
    assert_eq!(seen_by_b.self_values.keys().collect::<Vec<_>>(), ["of_b"]);
    let both = server.client().tenant("team-a|team-b").cpu("{}", now - 60, now + 60);
    assert_eq!(both.total, seen_by_a.total + seen_by_b.total);
}

#[test]
fn a_request_without_a_usable_tenant_is_refused_on_every_door() {
    let server = Server::start(&["-auth.multitenancy-enabled=true"]);
    for tenant in ["", "..", "a/b", "a b"] {
        let client = server.client().tenant(tenant);
        let replies = [
            client.post("/ingest?name=x.cpu&format=folded", "text/plain", &[], b"a;b 1\n"),
            client.post("/push.v1.PusherService/Push", "application/json", &[], b"{}"),
            client.post(
                "/querier.v1.QuerierService/LabelNames",
                "application/json",
                &[],
                json!({}).to_string().as_bytes(),
            ),
            client.try_get("/pyroscope/render?query=x&from=now-1h"),
        ];
        for reply in replies {
            let (status, body) = reply.expect("an answer");
            assert_eq!(status, 401, "tenant {tenant:?}: {body}");
            assert!(body.contains("unauthenticated"), "{body}");
        }
    }
    assert_eq!(server.client().try_get("/ready").unwrap().0, 200);
}
