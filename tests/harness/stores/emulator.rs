//! A small object store in memory that speaks the XML dialect which S3 and Google Cloud Storage share, over HTTP, and can
//! be told to misbehave. It checks no signatures.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use flamestore_objstore::{gcs, s3};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::BUCKET;

/// Keys and folders of one answer to a listing, as many as the real ones give.
const PAGE: usize = 1000;
const MAX_BODY_BYTES: usize = 64 << 20;
/// Everything was written then: as the two forms of time in answers.
const MODIFIED: (&str, &str) = ("Fri, 21 Nov 2025 08:00:00 GMT", "2025-11-21T08:00:00.000Z");

/// What a store does that it should not. None of it by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Habits {
    /// Writes over what was to be created only if absent.
    pub ignores_conditions: bool,
    /// Says that it has not built conditional writes.
    pub refuses_conditions: bool,
    /// Answers a range with the whole.
    pub ignores_ranges: bool,
    /// Lists nothing.
    pub lists_nothing: bool,
    /// Keeps what is deleted.
    pub deletes_nothing: bool,
    /// Gives back the first version of an object for ever.
    pub keeps_the_first: bool,
    /// Forbids calls of this kind.
    pub forbids: Option<Right>,
    /// Asks for fewer requests, this many times.
    pub throttles: u32,
    /// Answers "conflict" to this many conditional writes, and writes nothing.
    pub conflicts: u32,
    /// Does this many writes and answers that it failed.
    pub loses_answers: u32,
}

/// What a caller may be forbidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Write,
    Read,
    List,
    Delete,
}

/// A running store with one empty bucket.
pub struct Emulator {
    addr: SocketAddr,
    inside: Arc<Inside>,
    _runtime: Runtime,
}

struct Inside {
    habits: Mutex<Habits>,
    objects: Mutex<BTreeMap<String, Object>>,
}

#[derive(Clone)]
struct Object {
    content: axum::body::Bytes,
    generation: u64,
}

impl Emulator {
    pub fn start(habits: Habits) -> Emulator {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let inside = Arc::new(Inside { habits: Mutex::new(habits), objects: Mutex::default() });
        let app = axum::Router::new().fallback(answer).with_state(inside.clone());
        runtime.spawn(async move { axum::serve(listener, app).await });
        Emulator { addr, inside, _runtime: runtime }
    }

    /// How to reach it as Google Cloud Storage.
    pub fn gcs(&self) -> gcs::Settings {
        let endpoint = format!("http://{}", self.addr);
        gcs::Settings { bucket: BUCKET.into(), service_account: String::new(), endpoint }
    }

    /// How to reach it as S3.
    pub fn s3(&self) -> s3::Settings {
        s3::Settings {
            endpoint: self.addr.to_string(),
            region: String::new(),
            bucket: BUCKET.into(),
            access_key_id: "any".into(),
            secret_access_key: "any".into(),
            insecure: true,
            style: s3::Style::Path,
            encryption: None,
        }
    }

    /// Flags of the server to use it as Google Cloud Storage.
    pub fn flags(&self) -> Vec<String> {
        vec![
            "-storage.backend=gcs".into(),
            format!("-storage.gcs.bucket-name={BUCKET}"),
            format!("-storage.gcs.endpoint=http://{}", self.addr),
        ]
    }

    /// The keys of all objects.
    pub fn keys(&self) -> Vec<String> {
        self.inside.objects().keys().cloned().collect()
    }
}

impl Inside {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Object>> {
        self.objects.lock().expect("no caller panics")
    }

    /// Counts one of `which` down; false when there is none left.
    fn takes(&self, which: impl Fn(&mut Habits) -> &mut u32) -> bool {
        let mut habits = self.habits.lock().expect("no caller panics");
        let left = which(&mut habits);
        let some = *left > 0;
        *left = left.saturating_sub(1);
        some
    }
}

async fn answer(State(inside): State<Arc<Inside>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY_BYTES).await else { return refuse(400, "EntityTooLarge") };
    if inside.takes(|h| &mut h.throttles) {
        return refuse(503, "SlowDown");
    }
    let path = decoded(head.uri.path());
    let (bucket, key) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    if bucket != BUCKET {
        return refuse(404, "NoSuchBucket");
    }
    let habits = *inside.habits.lock().expect("no caller panics");
    let right = match (&head.method, key) {
        (&Method::GET, "") => Right::List,
        (&Method::GET | &Method::HEAD, _) => Right::Read,
        (&Method::PUT, _) => Right::Write,
        _ => Right::Delete,
    };
    // Without the right to list, what is missing is forbidden too.
    let hidden = habits.forbids == Some(Right::List) && right == Right::Read && !inside.objects().contains_key(key);
    if habits.forbids == Some(right) || hidden {
        return refuse(403, "AccessDenied");
    }
    match right {
        Right::List => list(&inside, habits, head.uri.query().unwrap_or_default()),
        Right::Read => read(&inside, habits, &head.method, &head.headers, key),
        Right::Write => write(&inside, habits, &head.headers, key, body),
        Right::Delete => {
            if !habits.deletes_nothing {
                inside.objects().remove(key);
            }
            StatusCode::NO_CONTENT.into_response()
        }
    }
}

fn write(inside: &Inside, habits: Habits, headers: &HeaderMap, key: &str, content: axum::body::Bytes) -> Response {
    let asks = |name, value| headers.get(name).is_some_and(|v| v == value);
    let create = asks("if-none-match", "*") || asks("x-goog-if-generation-match", "0");
    if create && habits.refuses_conditions {
        return refuse(501, "NotImplemented");
    }
    if create && inside.takes(|h| &mut h.conflicts) {
        return refuse(409, "ConditionalRequestConflict");
    }
    let mut objects = inside.objects();
    let there = objects.get(key);
    if create && there.is_some() && !habits.ignores_conditions {
        return refuse(412, "PreconditionFailed");
    }
    let generation = there.map_or(1, |o| o.generation + 1);
    if there.is_none() || !habits.keeps_the_first {
        objects.insert(key.to_owned(), Object { content, generation });
    }
    drop(objects);
    if inside.takes(|h| &mut h.loses_answers) {
        return refuse(500, "InternalError");
    }
    described(generation).into_response()
}

fn read(inside: &Inside, habits: Habits, method: &Method, headers: &HeaderMap, key: &str) -> Response {
    let Some(Object { content, generation }) = inside.objects().get(key).cloned() else {
        return refuse(404, "NoSuchKey");
    };
    let size = content.len();
    if method == Method::HEAD {
        return (described(generation), [("content-length", size.to_string())]).into_response();
    }
    let range = headers.get("range").and_then(|r| r.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
    let Some((from, to)) = range.filter(|_| !habits.ignores_ranges) else {
        return (described(generation), content).into_response();
    };
    let from: usize = from.parse().expect("clients ask from a byte on");
    let end = to.parse::<usize>().map_or(size, |to| (to + 1).min(size));
    if from >= size {
        return refuse(416, "InvalidRange");
    }
    let range = [("content-range", format!("bytes {from}-{}/{size}", end - 1))];
    (StatusCode::PARTIAL_CONTENT, described(generation), range, content.slice(from..end)).into_response()
}

fn list(inside: &Inside, habits: Habits, query: &str) -> Response {
    let query: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let text = |name: &str| query.get(name).map_or("", String::as_str);
    let (prefix, delimiter, after) = (text("prefix"), text("delimiter"), text("continuation-token"));
    let mut entries = BTreeMap::new();
    for (key, object) in inside.objects().iter().filter(|(key, _)| key.starts_with(prefix) && !habits.lists_nothing) {
        let folder = (!delimiter.is_empty()).then(|| key[prefix.len()..].find(delimiter)).flatten();
        match folder.map(|at| &key[..prefix.len() + at + delimiter.len()]) {
            Some(folder) => entries.insert(folder.to_owned(), None),
            None => entries.insert(key.clone(), Some((object.content.len(), object.generation))),
        };
    }
    let mut left = entries.into_iter().filter(|(key, _)| key.as_str() > after).peekable();
    let mut xml = String::from("<ListBucketResult>");
    let mut last = String::new();
    for (key, object) in left.by_ref().take(PAGE) {
        let name = escaped(&key);
        xml += &match object {
            None => format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>"),
            Some((size, generation)) => format!(
                "<Contents><Key>{name}</Key><Size>{size}</Size><LastModified>{}</LastModified>\
                 <ETag>\"{generation}\"</ETag></Contents>",
                MODIFIED.1
            ),
        };
        last = name;
    }
    if left.peek().is_some() {
        xml += &format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>");
    }
    xml += "</ListBucketResult>";
    ([("content-type", "application/xml")], xml).into_response()
}

/// Headers that describe an object.
fn described(generation: u64) -> [(&'static str, String); 3] {
    [
        ("etag", format!("\"{generation}\"")),
        ("x-goog-generation", generation.to_string()),
        ("last-modified", MODIFIED.0.to_owned()),
    ]
}

fn refuse(status: u16, code: &str) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    (status, Body::from(format!("<Error><Code>{code}</Code></Error>"))).into_response()
}

fn decoded(path: &str) -> String {
    let form = format!("x={}", path.replace('+', "%2B").replace('&', "%26"));
    form_urlencoded::parse(form.as_bytes()).next().map(|(_, path)| path.into_owned()).unwrap_or_default()
}

fn escaped(key: &str) -> String {
    key.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
