//! Telling the caller that an answer lacks something: the header `X-Flamestore-Partial`, on every protocol.
//!
//! Whoever puts an answer together is far from the response, so the mark stands beside the task of the request.

use std::cell::Cell;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response};

/// `true` on answers that lack what cannot be read; absent on whole ones.
pub const PARTIAL_HEADER: HeaderName = HeaderName::from_static("x-flamestore-partial");

tokio::task_local! {
    static PARTIAL: Cell<bool>;
}

/// Marks the answer that is being made by this task. Outside a request it does nothing.
pub fn note() {
    // Nobody asks: nobody needs to be told.
    let _ = PARTIAL.try_with(|partial| partial.set(true));
}

/// Answers, and sets the header if the answer was marked meanwhile.
pub(crate) async fn marking(answer: impl Future<Output = Response<Body>>) -> Response<Body> {
    let marked = async {
        let mut response = answer.await;
        if PARTIAL.with(Cell::get) {
            response.headers_mut().insert(PARTIAL_HEADER, HeaderValue::from_static("true"));
        }
        response
    };
    PARTIAL.scope(Cell::new(false), marked).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_marked_answer_has_the_header() {
        let answer = |lacks: bool| {
            marking(async move {
                if lacks {
                    note();
                }
                Response::new(Body::empty())
            })
        };
        assert_eq!(answer(true).await.headers().get(PARTIAL_HEADER).unwrap(), "true");
        assert!(answer(false).await.headers().get(PARTIAL_HEADER).is_none());
        note();
    }
}
