//! How large a request may be.

/// The default cap of a Push: the peer's default `ingestion_body_limit_mb`.
pub const PUSH_BYTES: usize = 256 << 20;
/// The cap of every other message.
pub const MESSAGE_BYTES: usize = 100 << 20;
/// The cap of messages about debug information, which are small.
pub const DEBUGINFO_BYTES: usize = 5 << 20;

/// Caps in bytes, after inflating, of the messages of RPCs.
#[derive(Debug, Clone, Copy)]
pub struct BodyCaps {
    pub push: usize,
    pub debuginfo: usize,
    pub other: usize,
}

impl Default for BodyCaps {
    fn default() -> Self {
        BodyCaps { push: PUSH_BYTES, debuginfo: DEBUGINFO_BYTES, other: MESSAGE_BYTES }
    }
}

impl BodyCaps {
    /// The cap of a path such as `/push.v1.PusherService/Push`.
    pub fn of(&self, path: &str) -> usize {
        if path.starts_with("/push.") || path.starts_with("/opentelemetry.") {
            self.push
        } else if path.starts_with("/debuginfo.") {
            self.debuginfo
        } else {
            self.other
        }
    }
}

/// Makes a generated server ready for the router: gzip both ways, and a cap on what a message may inflate to in place of
/// tonic's 4 MB. Without a cap it is [`MESSAGE_BYTES`].
///
/// ```ignore
/// let routes = Routes::new(served!(PusherServiceServer::new(pusher), caps.push));
/// ```
#[macro_export]
macro_rules! served {
    ($server:expr) => {
        $crate::served!($server, $crate::caps::MESSAGE_BYTES)
    };
    ($server:expr, $cap:expr) => {
        $server
            .accept_compressed(::tonic::codec::CompressionEncoding::Gzip)
            .send_compressed(::tonic::codec::CompressionEncoding::Gzip)
            .max_decoding_message_size($cap)
            .max_encoding_message_size(usize::MAX)
    };
}
