//! A server that has lived: flushed, compacted and dead blocks of two services, and its own account of them.

use std::collections::BTreeMap;

use flamestore_clock::{Clock, SystemClock};
use flamestore_tests::{Server, until};
use serde_json::{Value, json};

use crate::flamectl;

const SERVICES: [&str; 2] = ["other", "shop"];

/// Everything that the server has is between these times.
pub(crate) struct Lived {
    pub(crate) server: Server,
    from: String,
    until: String,
}

/// Pushes, flushes and compacts, until a compacted block and a flushed one count and others are dead.
pub(crate) fn lived(flags: &[&str]) -> Lived {
    let flags = [flags, &["-compactor.compaction-interval=50ms", "-validation.reject-older-than=0"]].concat();
    let mut server = Server::start(&flags);
    let now = SystemClock::default().now_nanos() / 1_000_000_000;
    let push = |server: &Server, service: &str, at: i64, stacks: &str| {
        let (status, body) = server.client().push_folded(service, at, stacks).expect("an answer");
        assert_eq!(status, 200, "{body}");
    };
    for round in 1..3 {
        for back in [4 * 3600, 120] {
            let stacks =
                format!("main;serve;parse {round}\nmain;serve;walk;walk;walk 2\nmain;gc 5\nround{round};gc 1\n");
            push(&server, "shop", now - back, &stacks);
            push(&server, "other", now - back, "main;elsewhere 1000\n");
        }
        server.stop();
        server.start_again();
    }
    until_compacted(&server);
    push(&server, "shop", now - 60, "main;serve;parse 7\nidle 2\n");
    server.stop();
    server.start_again();
    Lived { server, from: (now - 5 * 3600).to_string(), until: (now + 60).to_string() }
}

/// Waits until one block of level 1 is all that counts.
pub(crate) fn until_compacted(server: &Server) {
    until("a compacted block", || {
        let blocks: Value =
            serde_json::from_str(&server.client().get("/api/v1/blocks").expect("blocks")).expect("JSON");
        let compacted = blocks["blocks"].as_array().is_some_and(|all| all.len() == 1 && all[0]["level"] == 1);
        compacted.then_some(()).ok_or_else(|| format!("{blocks}\n{}", server.log()))
    });
}

impl Lived {
    fn ask(&self, service: &str, form: &str) -> flamectl::Ran {
        let selector = format!("{{service_name=\"{service}\"}}");
        let times = ["--from", &self.from, "--until", &self.until];
        let query = ["query", &selector, "--type", "cpu", "-o", form];
        flamectl::run(&self.server, &[&query[..], &times].concat())
    }

    /// The value of each stack of a service.
    pub(crate) fn flame(&self, service: &str) -> BTreeMap<String, i64> {
        let folded = self.ask(service, "collapsed");
        let lines = folded.text().lines().map(|line| line.rsplit_once(' ').expect("a value"));
        lines.map(|(stack, value)| (stack.to_owned(), value.parse().expect("a number"))).collect()
    }

    /// Own value and total of each function of a service.
    pub(crate) fn functions(&self, service: &str) -> BTreeMap<String, (i64, i64)> {
        let table = self.ask(service, "json").json();
        let number = |v: &Value| v.as_i64().expect("a number");
        let rows = table["functions"].as_array().expect("functions").iter();
        rows.map(|f| (f["name"].as_str().expect("a name").to_owned(), (number(&f["self"]), number(&f["total"]))))
            .collect()
    }

    /// Compares what the recipes have found with what the server answers.
    pub(crate) fn check(&self, found: &Value) {
        assert_eq!(found["flame"], json!(self.flame("shop")));
        let mut top: Vec<(String, String, i64, i64)> = serde_json::from_value(found["top"].clone()).expect("rows");
        assert!(top.is_sorted_by_key(|(.., total)| -total), "{top:?}");
        top.sort();
        let expected = SERVICES.map(|service| {
            let rows = self.functions(service).into_iter();
            rows.map(|(name, (own, total))| (service.to_owned(), name, own, total)).collect::<Vec<_>>()
        });
        assert_eq!(top, expected.concat());
    }
}
