//! What Grafana's Pyroscope data source and Profiles Drilldown send, byte for byte, and what they need of the answers.

mod browser;
mod plugin;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::server::Server;
use flamestore_tests::{folded, raw};
use http::Response;

const TENANT: &str = "team-a";
const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";
/// Of one sample of what [`Shop`] pushes.
const SAMPLE_NANOS: i64 = 10_000_000;

/// A server for many tenants with one profile of a service called shop.
struct Shop {
    server: Server,
    /// When the profile was taken, in milliseconds since the epoch.
    at: i64,
}

impl Shop {
    fn open() -> Shop {
        let server = Server::start(&["-auth.multitenancy-enabled=true"]);
        let at = SystemClock::default().now_nanos() / 1_000_000_000;
        let stacks = [folded(&["main", "work"], 30), folded(&["main", "idle"], 5)].concat();
        let path =
            format!("/ingest?name=shop.cpu%7Bregion%3Deu%2Ck8s.pod%3Dshop-1%7D&from={at}&until={at}&sampleRate=100");
        let client = server.client().tenant(TENANT);
        let (status, answer) = client.post(&path, "text/plain", &[], stacks.as_bytes()).expect("an answer");
        assert_eq!(status, 200, "{answer}");
        Shop { server, at: at * 1000 }
    }

    fn from(&self) -> i64 {
        self.at - 60_000
    }

    fn until(&self) -> i64 {
        self.at + 60_000
    }

    /// A request with these header lines. Those that name the host and the length of the body are added.
    fn send(&self, verb: &str, path: &str, headers: &[&str], body: &[u8]) -> Response<Vec<u8>> {
        let mut request = format!("{verb} {path} HTTP/1.1\r\nHost: {}\r\n", self.server.http());
        if verb == "POST" {
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        for header in headers {
            request += &format!("{header}\r\n");
        }
        let bytes = [request.as_bytes(), b"\r\n", body].concat();
        raw::exchange(self.server.http(), &bytes)
    }
}

fn text(answer: &Response<Vec<u8>>) -> String {
    String::from_utf8_lossy(answer.body()).into_owned()
}
