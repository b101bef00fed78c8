//! The message of `push.v1`, and how much may be in one.

use bytes::Bytes;
use flamestore_model::{Fault, Kind};
use flamestore_proto::codec::undecodable;
use flamestore_proto::push::v1::PushRequest;
use flamestore_rpc::{Place, to_status};
use prost::Message;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use tonic::Status;

/// Most series, labels, annotations and profiles of one push together. Clients send a few hundred; an empty one takes two bytes
/// on the wire and a hundred in memory.
pub const MAX_OBJECTS: usize = 1 << 17;
/// Memory that each of them takes, besides its text.
const OBJECT_BYTES: usize = 128;

/// Reads a message; the bytes of profiles stay where they are.
///
/// # Errors
/// `InvalidArgument` when it is no such message; `ResourceExhausted` when there is too much in it;
/// `Unavailable` when there is no room in time.
pub(crate) async fn read(message: Bytes, place: &Place) -> Result<PushRequest, Status> {
    let count = objects(&message);
    if count > MAX_OBJECTS {
        let why = format!(
            "the push has more than {MAX_OBJECTS} series, labels, annotations and profiles together: send it in several"
        );
        return Err(to_status(Fault::new(Kind::TooLarge, why)));
    }
    let bytes = count * OBJECT_BYTES;
    let (read, part) = place.work(bytes, move || (PushRequest::decode(message), bytes)).await.map_err(to_status)?;
    place.keep(part);
    read.map_err(|e| undecodable(&e))
}

/// How many there are, or as many as were counted when it became clear that there are too many or that the message is broken.
fn objects(message: &[u8]) -> usize {
    let (mut count, mut rest) = (0, message);
    while count <= MAX_OBJECTS
        && let Some((field, content)) = next(&mut rest)
    {
        if field != 1 {
            continue;
        }
        count += 1;
        let mut series = content;
        while count <= MAX_OBJECTS
            && let Some((field, _)) = next(&mut series)
        {
            count += usize::from(matches!(field, 1..=3));
        }
    }
    count
}

/// The next field of a message; those that hold no bytes are empty and called 0.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    let (field, wire_type) = decode_key(rest).ok()?;
    if wire_type != WireType::LengthDelimited {
        skip_field(wire_type, field, rest, DecodeContext::default()).ok()?;
        return Some((0, &[]));
    }
    let len = usize::try_from(decode_varint(rest).ok()?).ok()?;
    let (content, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some((field, content))
}

#[cfg(test)]
mod tests {
    use flamestore_proto::push::v1::{RawProfileSeries, RawSample};
    use flamestore_proto::types::v1::LabelPair;
    use tonic::Code;

    use super::*;

    fn push(labels: usize, samples: usize) -> Bytes {
        let label = |i: usize| LabelPair { name: format!("l{i}"), value: "v".into() };
        let sample = RawSample { raw_profile: Bytes::from_static(b"pprof"), id: String::new() };
        let series = RawProfileSeries {
            labels: (0..labels).map(label).collect(),
            samples: vec![sample; samples],
            annotations: vec![],
        };
        PushRequest { series: vec![series; 2] }.encode_to_vec().into()
    }

    #[tokio::test]
    async fn what_is_in_a_message_is_counted_before_it_is_read() {
        assert_eq!(objects(&push(3, 4)), 16);
        assert_eq!(read(push(3, 4), &Place::default()).await.unwrap().series[1].samples.len(), 4);
        let many = read(push(1, MAX_OBJECTS / 2 - 2), &Place::default()).await;
        assert_eq!(many.unwrap().series.len(), 2, "as many as may be");
        let refused = read(push(1, MAX_OBJECTS / 2 - 1), &Place::default()).await.unwrap_err();
        assert_eq!(refused.code(), Code::ResourceExhausted);
        assert!(refused.message().contains("send it in several"), "{refused:?}");
    }

    #[tokio::test]
    async fn a_broken_message_is_told_by_who_reads_it() {
        for broken in [&b"\x0a\xff"[..], b"\x0a\x02\x0a\x09", b"\xff"] {
            let refused = read(Bytes::from_static(broken), &Place::default()).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument, "{broken:?}");
        }
    }
}
