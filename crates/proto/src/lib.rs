//! Our wire messages, compiled from `proto/` without protoc: one module for each package.
//!
//! Field names follow Rust (`profile_typeID` is `profile_type_id`); JSON names are known to the descriptors only.

pub mod codec;

include!(concat!(env!("OUT_DIR"), "/packages.rs"));

/// An encoded `google.protobuf.FileDescriptorSet` of every file in `proto/` and what they import.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_reflect::DescriptorPool;

    use super::*;

    #[test]
    fn json_names_keep_the_case_that_clients_expect() {
        let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
        for (message, field, json) in [
            ("querier.v1.SelectSeriesRequest", "profile_typeID", "profileTypeID"),
            ("querier.v1.SeriesResponse", "labels_set", "labelsSet"),
            ("querier.v1.FlameGraphDiff", "leftTicks", "leftTicks"),
            ("types.v1.ProfileType", "ID", "ID"),
            ("version.v1.VersionResponse", "QuerierAPI", "QuerierAPI"),
            ("vcs.v1.GithubAppResponse", "callbackURL", "callbackURL"),
            ("settings.v1.Setting", "modifiedAt", "modifiedAt"),
        ] {
            let field = pool.get_message_by_name(message).unwrap().get_field_by_name(field).unwrap();
            assert_eq!(field.json_name(), json);
        }
    }

    #[test]
    fn a_profile_in_a_push_shares_the_memory_of_the_request() {
        let sample = push::v1::RawSample { raw_profile: vec![7; 64].into(), id: String::new() };
        let bytes = bytes::Bytes::from(sample.encode_to_vec());
        let back = push::v1::RawSample::decode(bytes.clone()).unwrap();
        assert!(bytes.as_ptr_range().contains(&back.raw_profile.as_ptr()));
    }
}
