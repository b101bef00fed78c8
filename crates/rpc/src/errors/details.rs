//! What gRPC carries beside a code and a sentence: `google.rpc.Status` with the id and when to try again.

use flamestore_model::Fault;
use prost::Message;
use tonic::Code;

/// The domain that our ids are unique in.
const DOMAIN: &str = "flamestore";

#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.ErrorInfo`, without its map.
#[derive(Clone, PartialEq, Message)]
struct ErrorInfo {
    #[prost(string, tag = "1")]
    reason: String,
    #[prost(string, tag = "2")]
    domain: String,
}

/// `google.rpc.RetryInfo`: OTLP exporters try a `resource_exhausted` again only when it is there.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Seconds>,
}

/// `google.protobuf.Duration` of whole seconds.
#[derive(Clone, PartialEq, Message)]
struct Seconds {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// The encoded `google.rpc.Status`.
pub(super) fn encode(fault: &Fault, code: Code, message: &str, again_after_secs: Option<u32>) -> Vec<u8> {
    let any = |name: &str, value: Vec<u8>| Any { type_url: format!("type.googleapis.com/google.rpc.{name}"), value };
    let info = ErrorInfo { reason: fault.id.as_str().to_owned(), domain: DOMAIN.to_owned() };
    let mut details = vec![any("ErrorInfo", info.encode_to_vec())];
    if let Some(secs) = again_after_secs {
        let retry = RetryInfo { delay: Some(Seconds { seconds: secs.into() }) };
        details.push(any("RetryInfo", retry.encode_to_vec()));
    }
    RpcStatus { code: code as i32, message: message.to_owned(), details }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flamestore_model::FaultId;

    #[test]
    fn the_id_and_the_delay_are_there_to_be_read() {
        let bytes = encode(&Fault::of(FaultId::RateLimited, "x"), Code::ResourceExhausted, "x", Some(3));
        let status = RpcStatus::decode(&bytes[..]).unwrap();
        assert_eq!((status.code, status.message.as_str()), (8, "x"));
        let info = ErrorInfo::decode(&status.details[0].value[..]).unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("rate-limited", "flamestore"));
        let retry = RetryInfo::decode(&status.details[1].value[..]).unwrap();
        assert_eq!(retry.delay, Some(Seconds { seconds: 3 }));
    }
}
