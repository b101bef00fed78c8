//! Telling the caller what its query has read: the header `X-Flamestore-Query-Stats`, on every protocol.

use std::cell::Cell;

use axum::body::Body;
use flamestore_model::Reads;
use http::{HeaderName, HeaderValue, Response};

/// Numbers by name, such as `blocks=3, requests=12`; on answers to queries only.
pub const QUERY_STATS_HEADER: HeaderName = HeaderName::from_static("x-flamestore-query-stats");

tokio::task_local! {
    static READS: Cell<Option<Reads>>;
}

/// Adds to what was read for the answer that is being made by this task. Outside a request it does nothing.
pub fn note(reads: &Reads) {
    // Nobody asks: nobody needs to be told.
    let _ = READS.try_with(|sum| {
        let mut all = sum.get().unwrap_or_default();
        all += *reads;
        sum.set(Some(all));
    });
}

/// Answers, and sets the header if something was noted meanwhile.
pub(crate) async fn telling(answer: impl Future<Output = Response<Body>>) -> Response<Body> {
    let told = async {
        let mut response = answer.await;
        let value = READS.with(Cell::get).map(|reads| HeaderValue::from_str(&text(&reads)));
        if let Some(Ok(value)) = value {
            response.headers_mut().insert(QUERY_STATS_HEADER, value);
        }
        response
    };
    READS.scope(Cell::new(None), told).await
}

fn text(reads: &Reads) -> String {
    let Reads { blocks, cached_blocks, tables, cached_tables, requests, bytes, pages, cached_pages, .. } = reads;
    format!(
        "blocks={blocks}, cached-blocks={cached_blocks}, tables={tables}, cached-tables={cached_tables}, \
         pages={pages}, cached-pages={cached_pages}, requests={requests}, bytes={bytes}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_sum_of_what_was_read_is_in_the_header_of_a_query_and_of_nothing_else() {
        let answer = |notes: u64| {
            telling(async move {
                for requests in 0..notes {
                    note(&Reads { blocks: 1, requests, bytes: 10, ..Reads::default() });
                }
                Response::new(Body::empty())
            })
        };
        assert!(answer(0).await.headers().get(QUERY_STATS_HEADER).is_none());
        assert_eq!(
            answer(3).await.headers().get(QUERY_STATS_HEADER).unwrap(),
            "blocks=3, cached-blocks=0, tables=0, cached-tables=0, pages=0, cached-pages=0, requests=3, bytes=30"
        );
        note(&Reads::default());
    }
}
