//! Whether this process should get traffic, and if not, why.

use std::fmt::Write;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use parking_lot::RwLock;

/// Named conditions that must all hold. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<RwLock<Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    name: &'static str,
    /// None while the condition holds.
    why_not: Option<String>,
}

/// One condition. It keeps its last word when dropped.
#[derive(Debug)]
pub struct Condition {
    entries: Readiness,
    at: usize,
}

impl Readiness {
    /// Adds a condition that does not hold yet.
    pub fn condition(&self, name: &'static str) -> Condition {
        let mut entries = self.0.write();
        entries.push(Entry { name, why_not: Some("starting".into()) });
        Condition { entries: self.clone(), at: entries.len() - 1 }
    }

    pub fn is_ready(&self) -> bool {
        self.0.read().iter().all(|e| e.why_not.is_none())
    }

    /// `ready`, or 503 with one line for each condition that does not hold.
    pub fn page(&self) -> Response {
        let mut text = String::new();
        for Entry { name, why_not } in &*self.0.read() {
            if let Some(why) = why_not {
                // Writing to a string cannot fail.
                let _ = writeln!(text, "{name}: {why}");
            }
        }
        let status = if text.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        if text.is_empty() {
            text.push_str("ready\n");
        }
        let mut response = (status, text).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    }

    /// `GET /ready`, to be merged into the plain router.
    pub fn router(&self) -> axum::Router {
        let readiness = self.clone();
        axum::Router::new().route("/ready", get(async move || readiness.page()))
    }
}

impl Condition {
    pub fn holds(&self) {
        self.set(None);
    }

    /// `why` is shown on the page.
    pub fn fails(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    fn set(&self, why_not: Option<String>) {
        if let Some(entry) = self.entries.0.write().get_mut(self.at) {
            entry.why_not = why_not;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_page_lists_what_is_missing() {
        let readiness = Readiness::default();
        assert_eq!(readiness.page().status(), 200);
        let (log, store) = (readiness.condition("log"), readiness.condition("store"));
        log.holds();
        store.fails("no answer for 3 s");
        let page = readiness.page();
        assert_eq!((page.status().as_u16(), readiness.is_ready()), (503, false));
        let text = axum::body::to_bytes(page.into_body(), 1000).await.unwrap();
        assert_eq!(&text[..], b"store: no answer for 3 s\n");
        store.holds();
        assert!(readiness.is_ready());
    }
}
