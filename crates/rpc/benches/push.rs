//! A push of 20 KB through the router, without sockets: `cargo bench -p flamestore-rpc --bench push`.

use axum::body::Body;
use flamestore_proto::push::v1::pusher_service_server::{PusherService, PusherServiceServer};
use flamestore_proto::push::v1::{PushRequest, PushResponse, RawProfileSeries, RawSample};
use flamestore_proto::types::v1::LabelPair;
use flamestore_rpc::{Front, Router, Tenancy, served};
use http::Request;
use prost::Message;
use tonic::service::Routes;
use tonic::{Response, Status};

fn main() {
    divan::main();
}

struct Empty;

#[tonic::async_trait]
impl PusherService for Empty {
    async fn push(&self, _: tonic::Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        Ok(Response::new(PushResponse {}))
    }
}

fn message() -> Vec<u8> {
    let mut bits = 1u64;
    let noise = (0..20_000).map(|_| {
        bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (bits >> 33) as u8
    });
    let samples = vec![RawSample { raw_profile: noise.collect(), id: String::new() }];
    let label = |i: usize| LabelPair { name: format!("label_{i}"), value: format!("value-{i}") };
    let series = RawProfileSeries { labels: (0..8).map(label).collect(), samples, annotations: vec![] };
    PushRequest { series: vec![series] }.encode_to_vec()
}

fn request(body: Vec<u8>, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::post("/push.v1.PusherService/Push")
        .header("content-length", body.len())
        .header("user-agent", "bench")
        .header("x-scope-orgid", "tenant");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body)).unwrap()
}

fn push(bencher: divan::Bencher, body: Vec<u8>, headers: &[(&str, &str)]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let front: Front = Router::new(Routes::new(served!(PusherServiceServer::new(Empty), 256 << 20)))
        .tenancy(Tenancy::new(true))
        .build()
        .unwrap();
    bencher.with_inputs(|| request(body.clone(), headers)).bench_values(|request| {
        let response = runtime.block_on(front.answer(request));
        assert_eq!(response.status(), 200);
    });
}

#[divan::bench]
fn proto(bencher: divan::Bencher) {
    push(bencher, message(), &[("content-type", "application/proto")]);
}

#[divan::bench]
fn proto_gzip(bencher: divan::Bencher) {
    use std::io::Write;
    let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    file.write_all(&message()).unwrap();
    let body = file.finish().unwrap();
    push(bencher, body, &[("content-type", "application/proto"), ("content-encoding", "gzip")]);
}

#[divan::bench]
fn empty(bencher: divan::Bencher) {
    push(bencher, Vec::new(), &[("content-type", "application/proto")]);
}
