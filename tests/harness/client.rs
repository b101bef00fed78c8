//! A small HTTP client of the server: pushes and the queries that tests ask.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

/// The profile type of CPU time.
pub const CPU: &str = "process_cpu:cpu:nanoseconds:cpu:nanoseconds";

/// Speaks to one server. A tenant header is sent when one is set.
#[derive(Clone)]
pub struct Client {
    url: String,
    agent: ureq::Agent,
    tenant: Option<String>,
}

/// Status and body of an answer; `Err` when there was none.
pub type Reply = Result<(u16, String), String>;

impl Client {
    pub fn new(url: &str) -> Client {
        let config =
            ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(60))).http_status_as_error(false);
        Client { url: url.to_owned(), agent: config.build().into(), tenant: None }
    }

    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Client {
        self.tenant = Some(tenant.to_owned());
        self
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn get(&self, path: &str) -> Result<String, String> {
        match self.try_get(path)? {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{status}: {body}")),
        }
    }

    pub fn try_get(&self, path: &str) -> Reply {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        let mut response = request.call().map_err(|e| e.to_string())?;
        let body = response.body_mut().read_to_string().map_err(|e| e.to_string())?;
        Ok((response.status().as_u16(), body))
    }

    pub fn post(&self, path: &str, content_type: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let answer = self.exchange(path, content_type, headers, body)?;
        Ok((answer.status().as_u16(), String::from_utf8_lossy(answer.body()).into_owned()))
    }

    /// A POST with everything that comes back, its bytes as they came.
    pub fn exchange(
        &self,
        path: &str,
        content_type: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<http::Response<Vec<u8>>, String> {
        let mut request = self.agent.post(format!("{}{path}", self.url)).header("Content-Type", content_type);
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Scope-OrgID", tenant);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, mut body) = request.send(body).map_err(|e| e.to_string())?.into_parts();
        let body = body.read_to_vec().map_err(|e| e.to_string())?;
        Ok(http::Response::from_parts(parts, body))
    }

    /// A Connect call with a JSON body. Panics on anything but 200.
    pub fn call(&self, method: &str, body: &Value) -> Value {
        let (status, text) =
            self.post(&format!("/{method}"), "application/json", &[], body.to_string().as_bytes()).expect("an answer");
        assert_eq!(status, 200, "{method} {body}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Pushes folded stacks as the CPU profile of `service`, 1 sample = 10 ms, at `at` seconds since the epoch.
    pub fn push_folded(&self, service: &str, at: i64, stacks: &str) -> Reply {
        let path = format!("/ingest?name={service}.cpu&format=folded&from={at}&until={at}&sampleRate=100");
        self.post(&path, "text/plain", &[], stacks.as_bytes())
    }

    /// The merged CPU flame graph of what `selector` finds, times in seconds.
    pub fn cpu(&self, selector: &str, from: i64, until: i64) -> Flame {
        self.merged(CPU, selector, from, until)
    }

    /// The merged flame graph of the profiles of a type that `selector` finds, times in seconds.
    pub fn merged(&self, profile_type: &str, selector: &str, from: i64, until: i64) -> Flame {
        let answer = self.call(
            "querier.v1.QuerierService/SelectMergeStacktraces",
            &json!({
                "profileTypeID": profile_type,
                "labelSelector": selector,
                "start": from * 1000, "end": until * 1000, "maxNodes": 1_000_000,
            }),
        );
        Flame::read(&answer["flamegraph"])
    }
}

/// A flame graph, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flame {
    pub total: i64,
    /// Self value of each function name, over all its places.
    pub self_values: BTreeMap<String, i64>,
    /// Total of each function name, over all its places; a recursive one counts again at each depth.
    pub totals: BTreeMap<String, i64>,
}

impl Flame {
    /// From a `FlameGraph` in JSON.
    pub fn read(graph: &Value) -> Flame {
        let number = |v: &Value| v.as_i64().or_else(|| v.as_str()?.parse().ok()).unwrap_or(0);
        let names: Vec<&str> = graph["names"].as_array().expect("names").iter().filter_map(Value::as_str).collect();
        let mut flame = Flame { total: number(&graph["total"]), ..Flame::default() };
        for level in graph["levels"].as_array().expect("levels") {
            let values: Vec<i64> = level["values"].as_array().expect("values").iter().map(number).collect();
            for node in values.chunks(4) {
                let name = names[node[3] as usize];
                *flame.totals.entry(name.to_owned()).or_default() += node[1];
                if node[2] != 0 {
                    *flame.self_values.entry(name.to_owned()).or_default() += node[2];
                }
            }
        }
        // The root stands for no function.
        flame.totals.remove(names.first().copied().unwrap_or_default());
        flame
    }
}

/// One folded line.
pub fn folded(stack: &[&str], count: i64) -> String {
    format!("{} {count}\n", stack.join(";"))
}
