//! JSON of a large flame graph, both ways: `cargo bench -p flamestore-rpc --bench json`.

use flamestore_proto::querier::v1::{FlameGraph, Level, SelectMergeStacktracesResponse};
use flamestore_rpc::json::{Schema, Unknown};
use prost::Message;

fn main() {
    divan::main();
}

/// About 5 MB of JSON.
fn graph() -> Vec<u8> {
    let names = (0..20_000).map(|i| format!("github.com/example/project/internal/package{}.(*Type).Method{i}", i % 97));
    let level = |depth: i64| Level { values: (0..6000).map(|i| i * 7919 % 100_003 * (depth + 1)).collect() };
    let flamegraph =
        FlameGraph { names: names.collect(), levels: (0..60).map(level).collect(), total: 1 << 40, max_self: 1 << 30 };
    SelectMergeStacktracesResponse { flamegraph: Some(flamegraph), ..Default::default() }.encode_to_vec()
}

#[divan::bench]
fn write(bencher: divan::Bencher) {
    let (schema, _) = Schema::from_descriptor_sets(&[flamestore_proto::DESCRIPTOR_SET]).unwrap();
    let index = schema.find("querier.v1.SelectMergeStacktracesResponse").unwrap();
    let wire = graph();
    let mut json = Vec::new();
    schema.write(index, &wire, &mut json).unwrap();
    bencher.counter(divan::counter::BytesCount::new(json.len())).bench(|| {
        let mut json = Vec::with_capacity(wire.len() * 2);
        schema.write(index, &wire, &mut json).unwrap();
        json
    });
}

#[divan::bench]
fn read(bencher: divan::Bencher) {
    let (schema, _) = Schema::from_descriptor_sets(&[flamestore_proto::DESCRIPTOR_SET]).unwrap();
    let index = schema.find("querier.v1.SelectMergeStacktracesResponse").unwrap();
    let mut json = Vec::new();
    schema.write(index, &graph(), &mut json).unwrap();
    bencher.counter(divan::counter::BytesCount::new(json.len())).bench(|| {
        let mut wire = Vec::with_capacity(json.len());
        schema.read(index, &json, Unknown::Skip, &mut wire).unwrap();
        wire
    });
}

/// What the peer library takes for the same.
#[divan::bench]
fn write_by_reflection(bencher: divan::Bencher) {
    let (_, pool) = Schema::from_descriptor_sets(&[flamestore_proto::DESCRIPTOR_SET]).unwrap();
    let message = pool.get_message_by_name("querier.v1.SelectMergeStacktracesResponse").unwrap();
    let wire = graph();
    bencher.bench(|| {
        let message = prost_reflect::DynamicMessage::decode(message.clone(), &wire[..]).unwrap();
        serde_json::to_vec(&message).unwrap()
    });
}
