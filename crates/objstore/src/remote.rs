//! What every store across a network is used with: bounds on requests, on waiting and on connections.

use std::sync::Once;
use std::time::Duration;

use object_store::{BackoffConfig, ClientOptions, RetryConfig};

/// Requests of one bucket that are under way at the same time; more wait for their turn.
pub const MAX_REQUESTS: usize = 64;
/// Connections kept open for later requests.
pub const MAX_IDLE_CONNECTIONS: usize = MAX_REQUESTS;
/// How long a connection is kept for a later request; less than stores wait before they hang up, of which those that run on Node
/// wait 5 seconds.
pub const IDLE_CONNECTION: Duration = Duration::from_secs(4);
/// How long making a connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one request may take with all of its content; enough for a large file over a slow line.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// Attempts after the first, for requests that the store could not answer or asked to be sent more slowly.
pub const MAX_RETRIES: usize = 5;
/// After this time a request is not tried again. Whoever asked tries again later, with new credentials.
pub const RETRY_FOR: Duration = Duration::from_secs(30);
/// The wait before the second attempt; it doubles from there.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(crate) fn retries(max_retries: usize) -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: FIRST_PAUSE, max_backoff: LONGEST_PAUSE, base: 2.0 },
        max_retries,
        retry_timeout: RETRY_FOR,
    }
}

/// `plain`: HTTP without TLS is allowed.
pub(crate) fn client(plain: bool) -> ClientOptions {
    choose_tls();
    ClientOptions::new()
        .with_allow_http(plain)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout(REQUEST_TIMEOUT)
        .with_pool_idle_timeout(IDLE_CONNECTION)
        .with_pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
}

/// The TLS library wants its cryptography to be chosen once in a process.
fn choose_tls() {
    static CHOSEN: Once = Once::new();
    // An error says that somebody else has chosen, which is as good.
    CHOSEN.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}
